// Curl caller: calls over HTTP, by libcurl.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <vector>

#include "common/config/model.h"
#include "worker/hook/caller.h"
#include "worker/hook/curl_multi.h"

namespace beamgate::hook {

class CurlCaller final : public Caller {
 public:
  CurlCaller(std::shared_ptr<const config::Webhook> config, CurlMulti& multi)
      : config_(std::move(config)), multi_(multi) {}
  ~CurlCaller() override;

  std::unique_ptr<Transfer> start(Job& job, int64_t left_ms) override;

  // For CurlMulti::OnDone: the job of a handle that has been removed, and how it has ended.
  static Job& ended(CURL* easy, CURLcode code, Ending& ending);

 private:
  class CurlTransfer;

  CURL* take_handle();
  void set_options(CURL* easy) const;

  const std::shared_ptr<const config::Webhook> config_;
  CurlMulti& multi_;
  std::vector<CURL*> idle_;  // Handles with the options set.
};

}  // namespace beamgate::hook
