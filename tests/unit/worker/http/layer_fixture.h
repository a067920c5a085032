// A worker's HTTP layer over socket pairs: no listener, no loop, turns made by the test.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "common/base/clock.h"
#include "common/config/load.h"
#include "worker/http/access_log.h"
#include "worker/http/http_layer.h"
#include "worker/http/return_answer.h"
#include "worker/settings.h"

namespace beamgate::http {

// "return" in every location unless a test says otherwise.
inline std::shared_ptr<const config::Config> config_of(const std::string& http) {
  const config::LoadResult loaded = config::load_text("http {\n" + http + "\n}\n");
  EXPECT_TRUE(loaded.ok()) << config::report(loaded);
  return loaded.config;
}

class LayerTest : public testing::Test {
 protected:
  void TearDown() override { stop(); }

  // As a worker ends: connections first, since they tell the layer of their end.
  void stop() {
    connections_.reset();
    layer_.reset();
    dispatcher_.reset();
    EXPECT_EQ(arena_.bytes_live(), 0u) << "a connection left something behind";
  }

  void start(const std::string& http) {
    stop();
    now_ = monotonic_ms();
    settings_ = std::make_unique<Settings>(config_of(http));
    connections_ = std::make_unique<net::Connections>(arena_, poller_, page_, uint16_t{1});
    logs_ = std::make_unique<AccessLogs>(log_, page_);
    dispatcher_ = std::make_unique<Dispatcher>(*connections_, *settings_, page_, log_, logs_.get());
    layer_ = std::make_unique<HttpLayer>(*connections_, *dispatcher_, page_, log_);
    connections_->set_handler(record::Phase::Http, *layer_);
  }

  record::Record* open() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    client_.reset(ends[1]);
    net::Peer peer;
    peer.address.ss_family = AF_UNIX;
    record::Record* record = connections_->adopt(UniqueFd(ends[0]), peer, listen_id());
    id_ = connections_->id_of(*record);
    return record;
  }
  uint32_t listen_id() const { return settings_->current().http.servers[0].listens[0].id; }

  void turn(int times = 1) {
    for (; times > 0; --times) {
      poller_.dispatch();
      connections_->end_turn();
      layer_->end_turn();
      logs_->flush();
    }
  }
  void send(std::string_view bytes) {
    ASSERT_EQ(::send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Everything that has arrived; turns are made until nothing more comes.
  std::string receive() {
    std::string out;
    char piece[65536];
    for (int idle = 0; idle < 3;) {
      turn();
      const ssize_t got = ::recv(client_.get(), piece, sizeof piece, 0);
      if (got > 0) {
        out.append(piece, static_cast<size_t>(got));
        idle = 0;
      } else {
        ++idle;
      }
    }
    return out;
  }
  std::string exchange(std::string_view bytes) {
    send(bytes);
    return receive();
  }
  // The connection was ended from our side.
  bool closed() {
    char byte = 0;
    turn();
    return ::recv(client_.get(), &byte, 1, 0) == 0;
  }
  bool alive() {
    return connections_->find(id_) != nullptr && connections_->find(id_)->phase == record::Phase::Http;
  }
  // Lets deadlines of the next `ms` milliseconds pass.  They are set by the real clock, so what is set after
  // a long pass() is due at once: start() again to begin anew.
  void pass(int64_t ms) {
    now_ += ms;
    connections_->tick(now_);
    turn();
  }

  metrics::Page page_{};
  log::Log log_{"test"};
  record::Arena arena_ = std::move(record::Arena::map(UniqueFd(), 64)).value();
  net::Poller poller_ = std::move(net::Poller::create()).value();
  std::unique_ptr<Settings> settings_;
  std::unique_ptr<net::Connections> connections_;
  std::unique_ptr<AccessLogs> logs_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<HttpLayer> layer_;
  UniqueFd client_;
  record::ConnId id_;
  int64_t now_ = monotonic_ms();
};

inline int status_of_response(std::string_view response) {
  return response.size() > 12 && response.starts_with("HTTP/1.1 ")
             ? std::stoi(std::string(response.substr(9, 3)))
             : 0;
}

inline size_t count(std::string_view text, std::string_view what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) ++found;
  return found;
}

inline std::string body_of(std::string_view response) {
  const size_t end = response.find("\r\n\r\n");
  return end == response.npos ? std::string() : std::string(response.substr(end + 4));
}

}  // namespace beamgate::http
