# Finds libseccomp; the Debian package is libseccomp-dev.
find_path(Seccomp_INCLUDE_DIR seccomp.h)
find_library(Seccomp_LIBRARY seccomp)
if(NOT Seccomp_INCLUDE_DIR OR NOT Seccomp_LIBRARY)
  message(FATAL_ERROR "libseccomp was not found. Install it with: apt-get install libseccomp-dev")
endif()
add_library(Seccomp::Seccomp UNKNOWN IMPORTED)
set_target_properties(Seccomp::Seccomp PROPERTIES
  IMPORTED_LOCATION ${Seccomp_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${Seccomp_INCLUDE_DIR})
set(Seccomp_FOUND TRUE)
