# Finds llhttp: a system libllhttp where there is one, else the C sources that Debian ships in node-llhttp,
# built here in strict mode.
find_path(Llhttp_INCLUDE_DIR llhttp.h PATH_SUFFIXES llhttp PATHS /usr/share/include)
find_library(Llhttp_LIBRARY llhttp)
find_path(Llhttp_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
if(NOT Llhttp_INCLUDE_DIR OR (NOT Llhttp_LIBRARY AND NOT Llhttp_SOURCE_DIR))
  message(FATAL_ERROR "llhttp was not found. Install it with: apt-get install node-llhttp (or libllhttp-dev)")
endif()
if(Llhttp_LIBRARY)
  add_library(Llhttp::Llhttp UNKNOWN IMPORTED)
  set_target_properties(Llhttp::Llhttp PROPERTIES
    IMPORTED_LOCATION ${Llhttp_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${Llhttp_INCLUDE_DIR})
else()
  add_library(beamgate_llhttp STATIC
    ${Llhttp_SOURCE_DIR}/api.c ${Llhttp_SOURCE_DIR}/http.c ${Llhttp_SOURCE_DIR}/llhttp.c)
  target_include_directories(beamgate_llhttp SYSTEM PUBLIC ${Llhttp_INCLUDE_DIR})
  target_compile_definitions(beamgate_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(beamgate_llhttp PRIVATE -O2 -w)
  add_library(Llhttp::Llhttp ALIAS beamgate_llhttp)
endif()
set(Llhttp_FOUND TRUE)
