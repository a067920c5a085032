# Finds OpenSSL; the Debian package is libssl-dev.
find_path(OpenSsl_INCLUDE_DIR openssl/evp.h)
find_library(OpenSsl_LIBRARY crypto)
if(NOT OpenSsl_INCLUDE_DIR OR NOT OpenSsl_LIBRARY)
  message(FATAL_ERROR "OpenSSL was not found. Install it with: apt-get install libssl-dev")
endif()
add_library(OpenSsl::Crypto UNKNOWN IMPORTED)
set_target_properties(OpenSsl::Crypto PROPERTIES
  IMPORTED_LOCATION ${OpenSsl_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${OpenSsl_INCLUDE_DIR})
set(OpenSsl_FOUND TRUE)
find_library(OpenSsl_SSL_LIBRARY ssl)
add_library(OpenSsl::Ssl UNKNOWN IMPORTED)
set_target_properties(OpenSsl::Ssl PROPERTIES
  IMPORTED_LOCATION ${OpenSsl_SSL_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${OpenSsl_INCLUDE_DIR}
  INTERFACE_LINK_LIBRARIES OpenSsl::Crypto)
