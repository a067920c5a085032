# Finds zlib; the Debian package is zlib1g-dev.
find_path(Zlib_INCLUDE_DIR zlib.h)
find_library(Zlib_LIBRARY z)
if(NOT Zlib_INCLUDE_DIR OR NOT Zlib_LIBRARY)
  message(FATAL_ERROR "zlib was not found. Install it with: apt-get install zlib1g-dev")
endif()
add_library(Zlib::Zlib UNKNOWN IMPORTED)
set_target_properties(Zlib::Zlib PROPERTIES
  IMPORTED_LOCATION ${Zlib_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${Zlib_INCLUDE_DIR})
set(Zlib_FOUND TRUE)
