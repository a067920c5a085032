#include "worker/upstream/fastcgi_protocol.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "worker/fastcgi/params.h"
#include "worker/fastcgi/record.h"
#include "worker/fastcgi/response_parser.h"
#include "worker/http/variables.h"
#include "worker/upstream/fields.h"
#include "worker/upstream/response_fields.h"

namespace beamgate::upstream {
namespace {

using config::FastcgiAction;
using config::FastcgiParam;

// The pairs of one request.
class Params {
 public:
  Params(const http::Request& request, const record::Record& record, std::optional<uint64_t> held_bytes)
      : request_(request), record_(record), fastcgi_(request.location->fastcgi), held_bytes_(held_bytes) {}

  void add_configured() {
    for (const FastcgiParam& param : fastcgi_.params) {
      value_.clear();
      expand(param.value);
      if (!param.if_not_empty || !value_.empty()) fastcgi::append_param(param.name, value_, pairs_);
    }
  }

  void add_fields() {
    const std::vector<http::Field>& fields = request_.fields;
    const bool underscores = request_.server != nullptr && request_.server->underscores_in_headers;
    for (auto field = fields.begin(); field != fields.end(); ++field) {
      if (is_dropped_from_script(field->name, request_.trusted_peer, underscores)) continue;
      const auto is_same = [&](const http::Field& other) { return iequals(other.name, field->name); };
      if (std::any_of(fields.begin(), field, is_same)) continue;
      const std::string name = fastcgi::http_param_name(field->name);
      if (is_configured(name)) continue;
      value_ = field->value;
      for (auto more = std::next(field); more != fields.end(); ++more) {
        if (is_same(*more)) value_.append(name == "HTTP_COOKIE" ? "; " : ", ").append(more->value);
      }
      fastcgi::append_param(name, value_, pairs_);
    }
  }

  const std::string& pairs() const { return pairs_; }

 private:
  void expand(const config::Template& text) {
    for (const config::Template::Part& part : text.parts()) {
      if (!part.variable) {
        value_ += part.text;
      } else if (part.text == "content_length" && held_bytes_.has_value()) {
        value_ += std::to_string(*held_bytes_);
      } else {
        http::append_variable(part.text, {request_, record_}, value_);
      }
    }
  }

  bool is_configured(std::string_view name) const {
    return std::any_of(fastcgi_.params.begin(), fastcgi_.params.end(),
                       [&](const FastcgiParam& param) { return param.name == name; });
  }

  const http::Request& request_;
  const record::Record& record_;
  const FastcgiAction& fastcgi_;
  const std::optional<uint64_t> held_bytes_;
  std::string pairs_;
  std::string value_;
};

}  // namespace

const config::BackendAction& FastcgiProtocol::settings(const config::Location& location) const {
  return location.fastcgi;
}

bool FastcgiProtocol::sends_body(const http::Request& request) const {
  return request.has_body() && request.location->fastcgi.pass_request_body;
}

bool FastcgiProtocol::may_reuse(const http::Request& request) const { return request.location->fastcgi.keep_conn; }

Result<BackendProtocol::Written> FastcgiProtocol::write_head(const http::Request& request, const record::Record& record,
                                                             std::optional<uint64_t> held_bytes,
                                                             std::string& out) const {
  const FastcgiAction& fastcgi = request.location->fastcgi;
  Written written;
  written.keep = fastcgi.keep_conn && fastcgi.upstream->keepalive > 0;
  Params params(request, record, held_bytes);
  params.add_configured();
  if (fastcgi.pass_request_headers) params.add_fields();
  fastcgi::append_begin(written.keep, out);
  fastcgi::append_params(params.pairs(), out);
  if (!sends_body(request)) fastcgi::append_stream_end(fastcgi::RecordType::Stdin, out);
  return written;
}

std::unique_ptr<http::ResponseReader> FastcgiProtocol::make_reader(const http::Request& request, bool) const {
  return std::make_unique<fastcgi::ResponseParser>(request.method == "HEAD");
}

void FastcgiProtocol::fit_fields(const http::Request& request, const record::Record&,
                                 std::vector<http::ResponseField>& fields) const {
  std::string connection;
  for (const http::ResponseField& field : fields) {
    if (iequals(field.name, "connection")) connection.append(field.value).append(1, ',');
  }
  ConnectionNames named;
  static_cast<void>(named.add(connection));
  std::erase_if(fields, [&](const http::ResponseField& field) {
    return is_dropped_from_response(field.name) || named.contains(field.name);
  });
  hide_fields(request.location->fastcgi, is_order_for_proxy, fields);
}

}  // namespace beamgate::upstream
