# Writes OUTPUT with the commit that SOURCE_DIR is at: "1a2b3c4", "1a2b3c4+" with changes, "no
# commit" outside a checkout; and with its day, "" outside one.
set(commit "no commit")
set(day "")
find_program(GIT git)
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE_DIR} rev-parse --short HEAD
                  OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed
                  ERROR_QUIET)
  if(NOT failed)
    execute_process(COMMAND ${GIT} -C ${SOURCE_DIR} diff --quiet HEAD RESULT_VARIABLE changed
                    ERROR_QUIET)
    set(commit "${head}")
    execute_process(COMMAND ${GIT} -C ${SOURCE_DIR} log -1 --format=%cs
                    OUTPUT_VARIABLE day OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(changed)
      set(commit "${head}+")
    endif()
  endif()
endif()
set(text "#define WEFT_COMMIT \"${commit}\"\n#define WEFT_COMMIT_DATE \"${day}\"\n")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()
