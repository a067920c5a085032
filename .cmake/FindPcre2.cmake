# Finds PCRE2; the Debian package is libpcre2-dev.
find_path(Pcre2_INCLUDE_DIR pcre2.h)
find_library(Pcre2_LIBRARY pcre2-8)
if(NOT Pcre2_INCLUDE_DIR OR NOT Pcre2_LIBRARY)
  message(FATAL_ERROR "PCRE2 was not found. Install it with: apt-get install libpcre2-dev")
endif()
add_library(Pcre2::Pcre2 UNKNOWN IMPORTED)
set_target_properties(Pcre2::Pcre2 PROPERTIES
  IMPORTED_LOCATION ${Pcre2_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${Pcre2_INCLUDE_DIR})
set(Pcre2_FOUND TRUE)
