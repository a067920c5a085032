# Finds c-ares; the Debian package is libc-ares-dev.
find_path(CAres_INCLUDE_DIR ares.h)
find_library(CAres_LIBRARY cares)
if(NOT CAres_INCLUDE_DIR OR NOT CAres_LIBRARY)
  message(FATAL_ERROR "c-ares was not found. Install it with: apt-get install libc-ares-dev")
endif()
add_library(CAres::CAres UNKNOWN IMPORTED)
set_target_properties(CAres::CAres PROPERTIES
  IMPORTED_LOCATION ${CAres_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${CAres_INCLUDE_DIR})
set(CAres_FOUND TRUE)
