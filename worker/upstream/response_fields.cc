#include "worker/upstream/response_fields.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "worker/upstream/fields.h"
#include "worker/upstream/proxy_target.h"

namespace beamgate::upstream {
namespace {

using config::ProxyAction;
using config::ProxyRewrite;

bool is_listed(const std::vector<std::string>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& listed) { return iequals(listed, name); });
}

// Rewrites of one request, their variables expanded as they are met.
class Rewriter {
 public:
  Rewriter(const http::Request& request, const record::Record& record) : request_(request), record_(record) {}

  // What a Location begins with.
  void redirect(std::string& value) {
    for (const ProxyRewrite& rewrite : request_.location->proxy.redirects) {
      if (rewrite.standard ? rewrite_location(*request_.location, value) : replace_prefix(rewrite, value)) return;
    }
  }

  // "5; url=http://backend/x": the address behind it.
  void refresh(std::string& value) {
    const std::string lower = to_lower(value);
    const size_t at = lower.find("url=");
    if (at == std::string::npos) return;
    std::string address = value.substr(at + 4);
    redirect(address);
    value.replace(at + 4, std::string::npos, address);
  }

  bool path(const ProxyRewrite& rewrite, std::string& value) { return replace_prefix(rewrite, value); }

  bool domain(const ProxyRewrite& rewrite, std::string& value) {
    const std::string from = expand(rewrite.from);
    std::string_view said = value;
    std::string_view wanted = from;
    if (said.starts_with('.')) said.remove_prefix(1);
    if (wanted.starts_with('.')) wanted.remove_prefix(1);
    if (!iequals(said, wanted)) return false;
    value = expand(rewrite.to);
    return true;
  }

 private:
  bool replace_prefix(const ProxyRewrite& rewrite, std::string& value) {
    const std::string from = expand(rewrite.from);
    if (!value.starts_with(from)) return false;
    value.replace(0, from.size(), expand(rewrite.to));
    return true;
  }

  std::string expand(const config::Template& text) {
    std::string out;
    http::expand(text, request_, record_, out);
    return out;
  }

  const http::Request& request_;
  const record::Record& record_;
};

}  // namespace

void rewrite_cookie(const http::Request& request, const record::Record& record, const ProxyAction& proxy,
                    std::string& value) {
  Rewriter rewriter(request, record);
  size_t at = value.find(';');
  while (at != std::string::npos) {
    const size_t begin = at + 1;
    const size_t end = std::min(value.find(';', begin), value.size());
    const std::string_view attribute = std::string_view(value).substr(begin, end - begin);
    const size_t equals = attribute.find('=');
    if (equals == std::string_view::npos) {
      at = value.find(';', begin);
      continue;
    }
    const std::string_view name = trim(attribute.substr(0, equals));
    std::string changed(trim(attribute.substr(equals + 1)));
    if (iequals(name, "path")) {
      for (const ProxyRewrite& rewrite : proxy.cookie_paths) {
        if (rewriter.path(rewrite, changed)) break;
      }
    } else if (iequals(name, "domain")) {
      for (const ProxyRewrite& rewrite : proxy.cookie_domains) {
        if (rewriter.domain(rewrite, changed)) break;
      }
    } else {
      at = value.find(';', begin);
      continue;
    }
    value.replace(begin + equals + 1, end - begin - equals - 1, changed);
    at = value.find(';', begin + equals + 1 + changed.size());
  }
}

void hide_fields(const config::BackendAction& settings, bool (*is_hidden)(std::string_view name),
                 std::vector<http::ResponseField>& fields) {
  std::erase_if(fields, [&](const http::ResponseField& field) {
    const bool hidden = is_hidden(field.name) && !is_listed(settings.pass_headers, field.name);
    return hidden || is_listed(settings.hide_headers, field.name);
  });
}

void fit_fields(const http::Request& request, const record::Record& record,
                std::vector<http::ResponseField>& fields) {
  const ProxyAction& proxy = request.location->proxy;
  hide_fields(proxy, is_hidden_from_response, fields);
  const bool cookies = !proxy.cookie_domains.empty() || !proxy.cookie_paths.empty();
  Rewriter rewriter(request, record);
  for (http::ResponseField& field : fields) {
    if (iequals(field.name, "location")) rewriter.redirect(field.value);
    if (iequals(field.name, "refresh")) rewriter.refresh(field.value);
    if (cookies && iequals(field.name, "set-cookie")) rewrite_cookie(request, record, proxy, field.value);
  }
}

}  // namespace beamgate::upstream
