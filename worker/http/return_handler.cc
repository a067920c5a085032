#include "worker/http/return_handler.h"

#include "worker/http/static_files.h"

namespace beamgate::http {
namespace {

constexpr uint16_t kCloseSilently = 444;

bool is_redirect(uint16_t status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

std::string absolute_location(const Request& request, std::string_view target) {
  if (!target.starts_with('/') || target.starts_with("//")) return std::string(target);
  // Host is taken as it came, with its port; the parser has seen to it that it is no more than that.
  const std::string_view host = request.field("host");
  if (host.empty()) return std::string(target);
  std::string out = request.tls != nullptr ? "https://" : "http://";
  out += host;
  out += target;
  return out;
}

void ReturnHandler::handle(Exchange& exchange) {
  const Request& request = exchange.request();
  const config::ReturnAction& action = request.location->return_action;
  if (action.status == kCloseSilently) return exchange.drop();
  std::string text;
  expand(action.text, request, exchange.record(), text);
  if (is_redirect(action.status)) {
    std::vector<ResponseField> fields{{"Location", absolute_location(request, text)}};
    return exchange.respond(action.status, "text/plain", {}, std::move(fields));
  }
  if (text.empty() && action.status >= 300) return exchange.respond_status(action.status);
  exchange.respond(action.status, media_type(*request.location, request.path), text);
}

}  // namespace beamgate::http
