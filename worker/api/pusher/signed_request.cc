#include "worker/api/pusher/signed_request.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"
#include "worker/proto/pusher/signature.h"

namespace beamgate::api::pusher {
namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low < 0) {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return out;
}

std::string_view value_of(const Parameters& parameters, std::string_view key) {
  for (const auto& [name, value] : parameters) {
    if (name == key) return value;
  }
  return {};
}

std::string signed_query(Parameters parameters) {
  std::erase_if(parameters, [](const auto& each) { return each.first == "auth_signature"; });
  std::stable_sort(parameters.begin(), parameters.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string out;
  for (const auto& [key, value] : parameters) {
    if (!out.empty()) out += '&';
    out.append(key).append(1, '=').append(value);
  }
  return out;
}

std::vector<std::string_view> path_forms(const SignedRequest& request) {
  std::vector<std::string_view> forms;
  const auto add = [&forms](std::string_view path) {
    if (std::find(forms.begin(), forms.end(), path) == forms.end()) forms.push_back(path);
  };
  for (const std::string_view path : {request.raw_path, request.path}) {
    add(path);
    const size_t apps = path.find("/apps/");
    if (apps != std::string_view::npos) add(path.substr(apps));
  }
  return forms;
}

bool signature_fits(const config::App& app, const SignedRequest& request, const Parameters& decoded,
                    std::string_view signature) {
  const std::string queries[] = {signed_query(decoded), signed_query(query_parameters(request.query, false))};
  for (const std::string_view path : path_forms(request)) {
    for (size_t i = 0; i < std::size(queries); ++i) {
      if (i > 0 && queries[i] == queries[0]) continue;
      const std::string text = std::string(request.method).append(1, '\n').append(path) + "\n" + queries[i];
      if (beamgate::pusher::verify(app.secret, text, signature)) return true;
    }
  }
  return false;
}

}  // namespace

Parameters query_parameters(std::string_view query, bool decode) {
  Parameters out;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    const size_t equals = std::min(part.find('='), part.size());
    const std::string_view value = part.substr(std::min(equals + 1, part.size()));
    out.emplace_back(to_lower(decode ? percent_decoded(part.substr(0, equals)) : std::string(part.substr(0, equals))),
                     decode ? percent_decoded(value) : std::string(value));
  }
  return out;
}

const char* refuse_request(const config::App& app, const SignedRequest& request, int64_t now_s) {
  const Parameters parameters = query_parameters(request.query, true);
  if (!crypto::constant_time_equal(value_of(parameters, "auth_key"), app.key)) return "Unknown auth_key.\n";
  if (value_of(parameters, "auth_version") != "1.0") return "auth_version must be 1.0.\n";
  uint64_t timestamp = 0;
  if (!parse_decimal(value_of(parameters, "auth_timestamp"), timestamp) || timestamp > INT64_MAX / 2) {
    return "auth_timestamp must be a time in seconds.\n";
  }
  const int64_t skew_s = now_s - static_cast<int64_t>(timestamp);
  if (skew_s > kClockSkewSeconds || skew_s < -kClockSkewSeconds) return "auth_timestamp is not of now.\n";
  const std::string_view body_md5 = value_of(parameters, "body_md5");
  const bool has_body = !request.body.empty() || !body_md5.empty();
  if (has_body && !crypto::constant_time_equal(to_hex(crypto::md5(request.body)), to_lower(body_md5))) {
    return "body_md5 is not that of the body.\n";
  }
  const std::string signature = to_lower(value_of(parameters, "auth_signature"));
  return signature_fits(app, request, parameters, signature) ? nullptr : "Invalid auth_signature.\n";
}

}  // namespace beamgate::api::pusher
