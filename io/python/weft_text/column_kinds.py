"""What the columns of JSON lines hold, found while they are read.

Kinds: text, integer, number, boolean, json. A table of answers needs its columns before its first
row. Whole numbers and others together are numbers; other mixtures, lists and objects are json.
"""

MOST_COLUMNS = 1000


def kind_of(value):
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**63) <= value < 2**63 else "json"
    if isinstance(value, float):
        return "number"
    return "text" if isinstance(value, str) else "json"


def both(a, b):
    if a == b:
        return a
    return "number" if {a, b} == {"integer", "number"} else "json"


class ColumnKinds:
    def __init__(self):
        self.kinds, self.too_many = {}, False

    def add(self, fields):
        for name, value in fields.items():
            if value is None:
                continue
            kind = kind_of(value)
            known = self.kinds.get(name)
            if known is None:
                self.kinds[name] = kind
            elif known != kind:
                self.kinds[name] = both(known, kind)
        self.too_many = self.too_many or len(self.kinds) > MOST_COLUMNS
        if self.too_many:
            self.kinds = {}

    def listed(self):
        """[(name, kind)] in order of appearance; None when there are too many for a table."""
        return None if self.too_many else list(self.kinds.items())


def joined_columns(lists):
    """The columns of several sources as one list, pyarrow types beside kinds; None: too many."""
    kinds = {}
    for columns in lists:
        if columns is None:
            return None
        for name, kind in columns:
            known = kinds.setdefault(name, kind)
            if known != kind:
                kinds[name] = both(known, kind)
    return list(kinds.items())
