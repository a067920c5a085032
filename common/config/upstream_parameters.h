// Upstream parameters: the "name=value" words behind a server's address and of health_check.
//
// Errors   False, after the setting has reported what was expected.
#pragma once

#include "common/config/model.h"
#include "common/config/setting.h"

namespace beamgate::config {

inline constexpr std::string_view kServerSyntax =
    "address [weight=number] [max_conns=number] [max_fails=number] [fail_timeout=time] [slow_start=time] "
    "[resolve] [backup] [down]";
inline constexpr std::string_view kHealthCheckSyntax =
    "[uri=path] [interval=time] [timeout=time] [fails=number] [passes=number] [status=code[-code]] [port=number] "
    "[fastcgi]";

// Argument i of "server"; resolve: the name is to be asked for again.
bool read_server_parameter(Setting& setting, size_t i, UpstreamServer& server, bool& resolve);

// Argument i of "health_check".
bool read_check_parameter(Setting& setting, size_t i, HealthCheck& check);

}  // namespace beamgate::config
