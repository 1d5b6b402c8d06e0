# How every Weft target is compiled.
add_library(weft_flags INTERFACE)
target_include_directories(weft_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(weft_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes>
  $<$<AND:$<COMPILE_LANGUAGE:C>,$<BOOL:${WEFT_WERROR}>>:-Werror>)
target_compile_definitions(weft_flags INTERFACE _GNU_SOURCE WEFT_VERSION="${PROJECT_VERSION}")
if(WEFT_SANITIZE)
  target_compile_options(weft_flags INTERFACE -fsanitize=address,undefined -fno-omit-frame-pointer)
  target_link_options(weft_flags INTERFACE -fsanitize=address,undefined)
endif()

# weft_library(<name> SOURCES ... [USES targets...] [LIBS private libraries...])
# USES is public (its headers show through), LIBS stays inside the folder that owns them.
function(weft_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LIBS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC weft_flags ${ARG_USES} PRIVATE ${ARG_LIBS})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
endfunction()
