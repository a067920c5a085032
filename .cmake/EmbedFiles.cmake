# Compiles files into a library: each becomes a raw string literal in an array of beamgate::api::EmbeddedFile.
#
#   beamgate_embed(OUTPUT ARRAY COUNT HEADER file...)   adds a rule that writes OUTPUT
#
# Run as a script (cmake -P) this file is the rule itself, so that an edited file is compiled in again.
if(CMAKE_SCRIPT_MODE_FILE)
  set(text "// Written by .cmake/EmbedFiles.cmake.\n#include \"${HEADER}\"\n\nnamespace beamgate::api {\n\n")
  string(APPEND text "const EmbeddedFile ${ARRAY}[] = {\n")
  string(REPLACE "|" ";" files "${FILES}")
  foreach(file IN LISTS files)
    get_filename_component(name "${file}" NAME)
    file(READ "${file}" bytes)
    string(APPEND text "    {\"${name}\", R\"embedded(${bytes})embedded\"},\n")
  endforeach()
  list(LENGTH files count)
  string(APPEND text "};\nconst size_t ${COUNT} = ${count};\n\n}  // namespace beamgate::api\n")
  file(WRITE "${OUTPUT}" "${text}")
  return()
endif()

set(BEAMGATE_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(beamgate_embed output array count header)
  string(REPLACE ";" "|" files "${ARGN}")
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DARRAY=${array} -DCOUNT=${count} -DHEADER=${header}
            "-DFILES=${files}" -P ${BEAMGATE_EMBED_SCRIPT}
    DEPENDS ${ARGN} ${BEAMGATE_EMBED_SCRIPT}
    COMMENT "Embedding ${array}" VERBATIM)
endfunction()
