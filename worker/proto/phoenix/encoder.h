// Encoder: what happens in a channel, for clients of the Phoenix protocol: broadcasts and presence_diffs.
//
// Owner      One per worker.
// Thread     Worker loop thread only.
#pragma once

#include <string_view>
#include <vector>

#include "worker/proto/encoder.h"
#include "worker/proto/phoenix/topics.h"

namespace beamgate::proto::phoenix {

class Encoder final : public proto::Encoder {
 public:
  explicit Encoder(Topics& topics) : topics_(topics) {}

  void encode(const hub::Publication& publication, std::vector<Encoded>& out) override;
  void encode(const ipc::PresenceChange& change, std::vector<Encoded>& out) override;
  // phx_error: the client joins again by itself.
  void on_gap(record::Record& record, std::string_view channel, uint64_t offset) override;

 private:
  Topics& topics_;
};

}  // namespace beamgate::proto::phoenix
