#include "worker/hook/libraries.h"

#include <curl/curl.h>

namespace beamgate::hook {

std::string library_versions() { return curl_version(); }

}  // namespace beamgate::hook
