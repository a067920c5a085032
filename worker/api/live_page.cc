#include "worker/api/live_page.h"

#include "worker/api/location_path.h"
#include "worker/api/read_only.h"

namespace beamgate::api {
namespace {

constexpr EmbeddedFiles::Policies kPolicies{
    .content_security =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    .referrer = "no-referrer",
};

}  // namespace

LivePage::LivePage() : files_({kLiveFiles, kLiveFileCount}, kPolicies) {}

void LivePage::handle(http::Exchange& exchange) {
  if (!admit_reading(exchange)) return;
  const std::string_view name = path_below_location(exchange.request());
  files_.answer(exchange, name.empty() ? "index.html" : name);
}

}  // namespace beamgate::api
