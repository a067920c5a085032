// Curl multi: libcurl's many transfers at once, driven by the worker's loop.
//
// Owner      CurlWebhooks.  Easy handles are the caller's; it removes each before it frees it.
// Thread     Worker loop thread only.
#pragma once

#include <curl/curl.h>

#include <functional>

#include "common/uv/loop.h"
#include "common/uv/timer.h"
#include "worker/hook/curl_sockets.h"

namespace beamgate::hook {

class CurlMulti {
 public:
  // A transfer has ended and its handle is removed; new ones may be added and others removed.
  using OnDone = std::function<void(CURL* easy, CURLcode code)>;

  CurlMulti(uv::Loop& loop, OnDone on_done);
  ~CurlMulti();
  CurlMulti(const CurlMulti&) = delete;
  CurlMulti& operator=(const CurlMulti&) = delete;

  // Lets a handle's connections be watched here; once, before add().
  void prepare(CURL* easy);
  void add(CURL* easy);
  void remove(CURL* easy);  // Cuts the transfer short; OnDone is not called.

  void set_connections_max(long connections);  // Idle ones that are kept.
  size_t connections() const { return sockets_.owned(); }

 private:
  static int on_socket(CURL* easy, curl_socket_t socket, int what, void* self, void* unused) noexcept;
  static int on_timer(CURLM* multi, long timeout_ms, void* self) noexcept;
  static curl_socket_t open_socket(void* sockets, curlsocktype purpose, curl_sockaddr* address) noexcept;
  static int close_socket(void* sockets, curl_socket_t socket) noexcept;

  void act(curl_socket_t socket, int events);
  void collect_done();

  CURLM* multi_;
  CurlSockets sockets_;
  uv::Timer timer_;
  OnDone on_done_;
};

}  // namespace beamgate::hook
