// FastCGI caller: calls to a script through a FastCGI server such as php-fpm, without a web server in between.
//
// Says       What a web server would: the signed fields as HTTP_..., the url's host, path and query (or the job's target) in
//            their places.
// Limits     One connection for each call, closed behind it: a process of php-fpm serves one connection at a time,
//            and idle ones would keep it from others.  connect_timeout_ms, and left_ms for the whole.
// Errors     No connection, or one that ends early: Unreachable; what is no FastCGI or no CGI: Malformed;
//            FCGI_OVERLOADED is a 503, with which a webhook is judged to be down.
#pragma once

#include <memory>
#include <string>

#include "common/config/model.h"
#include "common/log/log.h"
#include "common/uv/loop.h"
#include "worker/hook/caller.h"

namespace beamgate::hook {

class FastcgiCaller final : public Caller {
 public:
  FastcgiCaller(std::shared_ptr<const config::Webhook> config, uv::Loop& loop, log::Log& log, OnEnd on_end);

  std::unique_ptr<Transfer> start(Job& job, int64_t left_ms) override;

 private:
  class Call;

  std::string request_of(const Job& job) const;

  const std::shared_ptr<const config::Webhook> config_;
  uv::Loop& loop_;
  log::Log& log_;
  const OnEnd on_end_;
  std::string params_;  // Those that are the same for every call without a target.
};

}  // namespace beamgate::hook
