# Finds libcurl; the Debian package is libcurl4-openssl-dev.
find_path(LibCurl_INCLUDE_DIR curl/curl.h)
find_library(LibCurl_LIBRARY curl)
if(NOT LibCurl_INCLUDE_DIR OR NOT LibCurl_LIBRARY)
  message(FATAL_ERROR "libcurl was not found. Install it with: apt-get install libcurl4-openssl-dev")
endif()
add_library(LibCurl::Curl UNKNOWN IMPORTED)
set_target_properties(LibCurl::Curl PROPERTIES
  IMPORTED_LOCATION ${LibCurl_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${LibCurl_INCLUDE_DIR})
set(LibCurl_FOUND TRUE)
