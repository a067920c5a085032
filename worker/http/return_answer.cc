#include "worker/http/return_answer.h"

#include "worker/http/static_files.h"

namespace beamgate::http {
namespace {

constexpr uint16_t kCloseSilently = 444;

}  // namespace

bool is_redirect(uint16_t status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

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

void answer_redirect(Exchange& exchange, uint16_t status, std::string_view target) {
  exchange.respond(status, "text/plain", {}, {{"Location", absolute_location(exchange.request(), target)}});
}

void answer_return(Exchange& exchange, const config::ReturnAction& action) {
  if (action.status == kCloseSilently) return exchange.drop();
  const Request& request = exchange.request();
  std::string text;
  expand(action.text, request, exchange.record(), text);
  if (is_redirect(action.status)) return answer_redirect(exchange, action.status, text);
  if (!action.has_text && action.status >= 300) return exchange.respond_status(action.status);
  exchange.respond(action.status, media_type(*request.location, request.path), text);
}

}  // namespace beamgate::http
