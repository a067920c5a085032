// Response fields: what of a backend's response head reaches the client, and how.
//
// Source   nginx's proxy_hide_header, proxy_pass_header, proxy_redirect, proxy_cookie_domain and _path.  What
//          belongs to one connection only has been left out by the parser already.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/config/model.h"
#include "worker/http/exchange.h"
#include "worker/record/record.h"

namespace beamgate::upstream {

// Leaves out and rewrites the fields of a head as the request's location says.
void fit_fields(const http::Request& request, const record::Record& record,
                std::vector<http::ResponseField>& fields);

// Only the leaving out: what `is_hidden` says and no "..._pass_header" names, and what a "..._hide_header" does.
void hide_fields(const config::BackendAction& settings, bool (*is_hidden)(std::string_view name),
                 std::vector<http::ResponseField>& fields);

// One Set-Cookie; attributes other than Domain and Path stay as they are.
void rewrite_cookie(const http::Request& request, const record::Record& record, const config::ProxyAction& proxy,
                    std::string& value);

}  // namespace beamgate::upstream
