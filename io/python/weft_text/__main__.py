from weft_text.cli import main

raise SystemExit(main())
