// Raw encoder: publications as they are, one frame each; what is not text is binary.
//
// Owner      One per worker; for the modes raw and echo.
#pragma once

#include <functional>
#include <utility>

#include "worker/proto/encoder.h"
#include "worker/ws/websockets.h"

namespace beamgate::proto {

class RawEncoder final : public Encoder {
 public:
  explicit RawEncoder(ws::WebSockets& websockets) : websockets_(websockets) {}

  // Asked about publications that have a meta.
  using Filter = std::function<bool(const record::Record&, const hub::Publication&)>;
  void set_filter(Filter filter) { filter_ = std::move(filter); }

  bool wants(const record::Record& record, const hub::Publication& publication) const override {
    return !filter_ || filter_(record, publication);
  }
  using Encoder::encode;
  void encode(const hub::Publication& publication, std::vector<Encoded>& out) override {
    out.push_back({publication.kind == ipc::PayloadKind::Binary, std::string(publication.payload), 0});
  }
  // It has no way to ask for what it missed; closing it lets it come back and ask its application, while silence would
  // leave it with a hole that it can't see.
  void on_gap(record::Record& record, std::string_view, uint64_t) override {
    websockets_.close(record, metrics::Metric::ClosesMissed, ws::kCloseTryAgainLater, "messages were lost");
  }

 private:
  ws::WebSockets& websockets_;
  Filter filter_;
};

}  // namespace beamgate::proto
