// Proxy harness: a ProxyHandler between exchanges that a test plays and an origin server in the same thread.
//
// Everything waits on conditions: pump_until() turns the loop until one holds, or fails the test.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/unique_fd.h"
#include "common/config/model.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/uv/loop.h"
#include "common/uv/poll_watcher.h"
#include "worker/http/exchange.h"
#include "worker/net/poller.h"
#include "worker/upstream/proxy_handler.h"

namespace beamgate::upstream {

// An exchange whose client is the test.
class FakeExchange final : public http::Exchange {
 public:
  explicit FakeExchange(uint32_t number) : number_(number) {}

  const http::Request& request() const override { return request_; }
  http::Trace& trace() override { return request_.trace; }
  http::ExchangeId id() const override { return {{}, number_}; }
  record::Record& record() override { return record_; }
  void attach(std::unique_ptr<http::Attachment> attachment) override { attachment_ = std::move(attachment); }
  void resume_body() override { ++resumed; }
  bool body_complete() const override { return false; }
  void respond(uint16_t status, std::string_view, std::string_view, std::vector<http::ResponseField>) override {
    head.status = status;
    begun_ = true;
    end();
  }
  void begin(http::ResponseHead given) override {
    EXPECT_FALSE(begun_);
    head = std::move(given);
    begun_ = true;
    if (dies_in == "begin") lose();
  }
  bool write(std::string_view bytes) override {
    EXPECT_TRUE(begun_ && !over);
    body.append(bytes);
    queued += bytes.size();
    queued_most = std::max(queued_most, queued);
    if (dies_in == "write") lose();
    return queued < window;
  }
  void finish() override {
    finished = true;
    end();
    if (on_finish) std::exchange(on_finish, nullptr)();
  }
  void finish_with_trailers(const std::vector<http::ResponseField>& given) override {
    trailers = given;
    finish();
  }
  void inform(uint16_t status, const std::vector<http::ResponseField>& fields) override {
    informed += std::to_string(status);
    for (const http::ResponseField& field : fields) informed += " " + field.name + "=" + field.value;
    informed += ";";
  }
  void tunnel(const std::vector<http::ResponseField>& fields) override {
    EXPECT_FALSE(begun_);
    head = {101, fields, {}};
    begun_ = true;
  }
  void abort() override {
    aborted = true;
    end();
  }
  bool begun() const override { return begun_; }
  void upgrade(const std::vector<http::ResponseField>&, record::Phase) override { ADD_FAILURE(); }

  // The client has gone.
  void lose() {
    over = true;
    attachment_.reset();
  }
  // The client has read everything so far.
  void drain() {
    queued = 0;
    if (attachment_ != nullptr) attachment_->on_writable();
  }
  size_t give_body(std::string_view bytes) { return attachment_->on_body(bytes); }
  void end_body() { attachment_->on_body_end(); }
  bool has_attachment() const { return attachment_ != nullptr; }
  std::string field(std::string_view name) const {
    for (const http::ResponseField& field : head.fields) {
      if (field.name == name) return field.value;
    }
    return "-";
  }

  http::Request request_;
  http::ResponseHead head;
  std::string body;
  std::vector<http::ResponseField> trailers;
  std::string informed;
  size_t queued = 0;
  size_t queued_most = 0;
  size_t window = 64 << 10;
  int resumed = 0;
  bool over = false;
  bool finished = false;
  bool aborted = false;
  std::string dies_in;
  std::function<void()> on_finish;

 private:
  void end() {
    over = true;
    attachment_.reset();
  }

  const uint32_t number_;
  record::Record record_;
  bool begun_ = false;
  std::unique_ptr<http::Attachment> attachment_;
};

class FakeExchanges final : public http::Exchanges {
 public:
  http::Exchange* find(http::ExchangeId id) override {
    const auto found = all.find(id.number);
    return found == all.end() || found->second->over ? nullptr : found->second.get();
  }
  void set_handler(config::Action, http::Handler&) override {}

  std::map<uint32_t, std::unique_ptr<FakeExchange>> all;
};

// A listening socket; what it accepts is played by hand.
class Origin {
 public:
  static std::unique_ptr<Origin> tcp();
  static std::unique_ptr<Origin> unix_socket(const std::string& path);

  const config::Address& address() const { return address_; }
  UniqueFd accept();  // Invalid when nobody has come.
  void close() { listener_.reset(); }

 private:
  explicit Origin(UniqueFd listener);

  UniqueFd listener_;
  config::Address address_;
};

// Non-blocking: appends what has come to `into`; false at the end of the stream.
bool read_some(const UniqueFd& socket, std::string& into);
void write_all(const UniqueFd& socket, std::string_view bytes);  // Small enough for the socket's buffer.

class ProxyTest : public testing::Test {
 protected:
  ProxyTest();

  // An exchange for this request, not yet handled.
  FakeExchange& exchange(std::string_view method = "GET", std::string_view target = "/");
  FakeExchange& handle(FakeExchange& made) {
    handler_.handle(made);
    return made;
  }
  FakeExchange& get(std::string_view target = "/") { return handle(exchange("GET", target)); }
  FakeExchange& with_length(std::string_view method, uint64_t length);
  FakeExchange& with_chunks(std::string_view method);

  void turn();  // One turn of the loop, waiting a little for something to happen.
  void pump_until(const std::function<bool()>& condition);
  UniqueFd accept(Origin& origin);
  // Reads until the text ends with `end`.
  std::string read_until(const UniqueFd& socket, std::string_view end);
  bool reads_end(const UniqueFd& socket);
  // The peer does one ordinary exchange on a new connection, which stays open.
  UniqueFd serve_once(Origin& origin);
  // A second server of the upstream.
  std::unique_ptr<Origin> add_origin();
  uint64_t counted(metrics::Metric metric) const { return metrics_->get(metric); }
  uint64_t opened() const { return metrics_->get(metrics::Metric::UpstreamConnectionsOpened); }

  uv::Loop loop_;
  std::unique_ptr<net::Poller> poller_;
  std::unique_ptr<uv::PollWatcher> watcher_;
  std::unique_ptr<metrics::Page> metrics_ = std::make_unique<metrics::Page>();
  log::Log log_{"test"};
  std::unique_ptr<Origin> origin_ = Origin::tcp();
  std::shared_ptr<config::Upstream> upstream_ = std::make_shared<config::Upstream>();
  config::Location location_;
  ProxyHandler handler_;
  FakeExchanges exchanges_;  // Goes before the handler, as in the worker.

 private:
  static std::unique_ptr<net::Poller> make_poller();
  uint32_t last_number_ = 0;
};

}  // namespace beamgate::upstream
