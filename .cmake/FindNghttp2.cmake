# Finds nghttp2; the Debian package is libnghttp2-dev.
find_path(Nghttp2_INCLUDE_DIR nghttp2/nghttp2.h)
find_library(Nghttp2_LIBRARY nghttp2)
if(NOT Nghttp2_INCLUDE_DIR OR NOT Nghttp2_LIBRARY)
  message(FATAL_ERROR "nghttp2 was not found. Install it with: apt-get install libnghttp2-dev")
endif()
add_library(Nghttp2::Nghttp2 UNKNOWN IMPORTED)
set_target_properties(Nghttp2::Nghttp2 PROPERTIES
  IMPORTED_LOCATION ${Nghttp2_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${Nghttp2_INCLUDE_DIR})
set(Nghttp2_FOUND TRUE)
