# Finds wslay; the Debian package is libwslay-dev.
find_path(Wslay_INCLUDE_DIR wslay/wslay.h)
find_library(Wslay_LIBRARY wslay)
if(NOT Wslay_INCLUDE_DIR OR NOT Wslay_LIBRARY)
  message(FATAL_ERROR "wslay was not found. Install it with: apt-get install libwslay-dev")
endif()
add_library(Wslay::Wslay UNKNOWN IMPORTED)
set_target_properties(Wslay::Wslay PROPERTIES
  IMPORTED_LOCATION ${Wslay_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${Wslay_INCLUDE_DIR})
set(Wslay_FOUND TRUE)
