# Finds nlohmann/json, which is headers only; the Debian package is nlohmann-json3-dev.
find_path(NlohmannJson_INCLUDE_DIR nlohmann/json.hpp)
if(NOT NlohmannJson_INCLUDE_DIR)
  message(FATAL_ERROR "nlohmann/json was not found. Install it with: apt-get install nlohmann-json3-dev")
endif()
add_library(NlohmannJson::NlohmannJson INTERFACE IMPORTED)
set_target_properties(NlohmannJson::NlohmannJson PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES ${NlohmannJson_INCLUDE_DIR})
set(NlohmannJson_FOUND TRUE)
