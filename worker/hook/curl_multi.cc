#include "worker/hook/curl_multi.h"

#include <sys/socket.h>

#include "common/base/assert.h"

namespace beamgate::hook {

CurlMulti::CurlMulti(uv::Loop& loop, OnDone on_done)
    : multi_((curl_global_init(CURL_GLOBAL_DEFAULT), curl_multi_init())),
      sockets_(loop,
               [this](int socket, bool readable, bool writable) {
                 act(socket, (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0));
               }),
      timer_(loop, [this] { act(CURL_SOCKET_TIMEOUT, 0); }),
      on_done_(std::move(on_done)) {
  BG_ASSERT(multi_ != nullptr);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlMulti::on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlMulti::on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
}

CurlMulti::~CurlMulti() {
  curl_multi_cleanup(multi_);  // Closes its connections through close_socket().
  curl_global_cleanup();
}

void CurlMulti::prepare(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &CurlMulti::open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &sockets_);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &CurlMulti::close_socket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, &sockets_);
}

void CurlMulti::add(CURL* easy) {
  const CURLMcode code = curl_multi_add_handle(multi_, easy);
  BG_ASSERT(code == CURLM_OK);
}

void CurlMulti::remove(CURL* easy) { curl_multi_remove_handle(multi_, easy); }

void CurlMulti::set_connections_max(long connections) {
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, connections);
}

int CurlMulti::on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) noexcept {
  static_cast<CurlMulti*>(self)->sockets_.want(socket, (what & CURL_POLL_IN) != 0 && what != CURL_POLL_REMOVE,
                                               (what & CURL_POLL_OUT) != 0 && what != CURL_POLL_REMOVE);
  return 0;
}

int CurlMulti::on_timer(CURLM*, long timeout_ms, void* self) noexcept {
  uv::Timer& timer = static_cast<CurlMulti*>(self)->timer_;
  if (timeout_ms < 0) {
    timer.stop();
  } else {
    timer.start(timeout_ms);
  }
  return 0;
}

curl_socket_t CurlMulti::open_socket(void* sockets, curlsocktype, curl_sockaddr* address) noexcept {
  const int type = address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const int descriptor = socket(address->family, type, address->protocol);
  if (descriptor < 0) return CURL_SOCKET_BAD;
  static_cast<CurlSockets*>(sockets)->own(descriptor);
  return descriptor;
}

int CurlMulti::close_socket(void* sockets, curl_socket_t socket) noexcept {
  static_cast<CurlSockets*>(sockets)->close_owned(socket);
  return 0;
}

void CurlMulti::act(curl_socket_t socket, int events) {
  int running = 0;
  curl_multi_socket_action(multi_, socket, events, &running);
  collect_done();
}

void CurlMulti::collect_done() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    const CURLcode code = message->data.result;
    curl_multi_remove_handle(multi_, easy);  // The message goes with it.
    on_done_(easy, code);
  }
}

}  // namespace beamgate::hook
