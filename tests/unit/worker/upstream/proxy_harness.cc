#include "tests/unit/worker/upstream/proxy_harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace beamgate::upstream {

Origin::Origin(UniqueFd listener) : listener_(std::move(listener)) {
  EXPECT_EQ(listen(listener_.get(), 64), 0);
  address_.length = sizeof address_.storage;
  getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address_.storage), &address_.length);
}

std::unique_ptr<Origin> Origin::tcp() {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  std::unique_ptr<Origin> origin(new Origin(std::move(listener)));
  const auto& bound = reinterpret_cast<const sockaddr_in&>(origin->address_.storage);
  origin->address_.text = "127.0.0.1:" + std::to_string(ntohs(bound.sin_port));
  return origin;
}

std::unique_ptr<Origin> Origin::unix_socket(const std::string& path) {
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  path.copy(at.sun_path, sizeof at.sun_path - 1);
  EXPECT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  std::unique_ptr<Origin> origin(new Origin(std::move(listener)));
  origin->address_.text = "unix:" + path;
  return origin;
}

UniqueFd Origin::accept() { return UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK)); }

bool read_some(const UniqueFd& socket, std::string& into) {
  char buffer[64 << 10];
  for (;;) {
    const ssize_t got = recv(socket.get(), buffer, sizeof buffer, 0);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN;
    into.append(buffer, static_cast<size_t>(got));
  }
}

void write_all(const UniqueFd& socket, std::string_view bytes) {
  EXPECT_EQ(send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
}

std::unique_ptr<net::Poller> ProxyTest::make_poller() {
  auto made = net::Poller::create();
  return std::make_unique<net::Poller>(std::move(made).value());
}

ProxyTest::ProxyTest() : poller_(make_poller()), handler_(loop_, *poller_, exchanges_, log_, *metrics_) {
  EXPECT_TRUE(log_.open("/dev/null", log::Level::Emerg).ok());
  auto watching = uv::PollWatcher::open(loop_, poller_->fd(), [this](auto) { poller_->dispatch(); });
  watcher_ = std::move(watching).value();
  watcher_->watch(true, false);
  upstream_->name = "app";
  upstream_->servers.push_back({origin_->address()});
  location_.action = config::Action::Proxy;
  location_.pattern = "/";
  location_.proxy.upstream = upstream_;
  location_.proxy.host = "app";
}

FakeExchange& ProxyTest::exchange(std::string_view method, std::string_view target) {
  const uint32_t number = ++last_number_;
  auto& made = *(exchanges_.all[number] = std::make_unique<FakeExchange>(number));
  made.request_.method = method;
  made.request_.target = target;
  made.request_.path = target;
  made.request_.location = &location_;
  made.request_.remote_address = "192.0.2.7";
  return made;
}

FakeExchange& ProxyTest::with_length(std::string_view method, uint64_t length) {
  FakeExchange& made = exchange(method);
  made.request_.content_length = length;
  return handle(made);
}

FakeExchange& ProxyTest::with_chunks(std::string_view method) {
  FakeExchange& made = exchange(method);
  made.request_.chunked = true;
  return handle(made);
}

void ProxyTest::turn() {
  pollfd ready{poller_->fd(), POLLIN, 0};
  poll(&ready, 1, 2);
  loop_.run_once(false);
}

void ProxyTest::pump_until(const std::function<bool()>& condition) {
  const int64_t give_up = monotonic_ms() + 10'000;
  while (!condition()) {
    ASSERT_LT(monotonic_ms(), give_up) << "what the test waits for does not happen";
    turn();
  }
}

UniqueFd ProxyTest::accept(Origin& origin) {
  UniqueFd accepted;
  pump_until([&] { return (accepted = origin.accept()).valid(); });
  return accepted;
}

std::string ProxyTest::read_until(const UniqueFd& socket, std::string_view end) {
  std::string got;
  pump_until([&] { return !read_some(socket, got) || got.ends_with(end); });
  return got;
}

bool ProxyTest::reads_end(const UniqueFd& socket) {
  std::string got;
  pump_until([&] { return !read_some(socket, got); });
  return true;
}

std::unique_ptr<Origin> ProxyTest::add_origin() {
  std::unique_ptr<Origin> added = Origin::tcp();
  upstream_->servers.push_back({added->address()});
  return added;
}

UniqueFd ProxyTest::serve_once(Origin& origin) {
  FakeExchange& first = get();
  UniqueFd socket = accept(origin);
  read_until(socket, "\r\n\r\n");
  write_all(socket, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  pump_until([&] { return first.finished; });
  return socket;
}

}  // namespace beamgate::upstream
