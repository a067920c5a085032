# Finds libuv; the Debian package is libuv1-dev.
find_path(Libuv_INCLUDE_DIR uv.h)
find_library(Libuv_LIBRARY uv)
if(NOT Libuv_INCLUDE_DIR OR NOT Libuv_LIBRARY)
  message(FATAL_ERROR "libuv was not found. Install it with: apt-get install libuv1-dev")
endif()
add_library(Libuv::Libuv UNKNOWN IMPORTED)
set_target_properties(Libuv::Libuv PROPERTIES
  IMPORTED_LOCATION ${Libuv_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${Libuv_INCLUDE_DIR})
set(Libuv_FOUND TRUE)
