// Queries: publish, presence, presence_stats and history: commands that the hub answers.
//
// Limits     publication_max; kHistoryMax publications in one answer, and those that the client's queue takes.
// Owner      Centrifuge.
// Thread     Worker loop thread only.
#pragma once

#include "worker/context.h"
#include "worker/hub/hub.h"
#include "worker/proto/centrifuge/channel_access.h"
#include "worker/proto/centrifuge/commands.h"
#include "worker/proto/centrifuge/sender.h"
#include "worker/proto/connection_ops.h"

namespace beamgate::proto::centrifuge {

// What a history command, or the API's method of that name, wants; `problem` is set when it can't be understood.
struct HistoryQuery {
  ipc::Ask question;         // Without channel.
  bool checks_epoch = false; // An epoch was named: another one is an error.
  std::string epoch;
};
bool read_history_query(const json::Value& params, HistoryQuery& query, const char*& problem);
inline constexpr uint32_t kHistoryMax = 1'000;

// {"publications":[...],"epoch":"...","offset":N}
std::string history_result(const ipc::ChannelState& state, bool with_publications);
// {"num_users":N,"num_clients":N}
std::string presence_stats_result(const ipc::ChannelState& state);
// {"presence":{...}}
std::string presence_result(const ipc::ChannelState& state);

class Queries {
 public:
  static constexpr uint32_t kMembersMax = 10'000;

  Queries(Context& context, ConnectionOps& ops, ws::WebSockets& websockets, ChannelAccess& access)
      : context_(context), ops_(ops), sender_(websockets), access_(access) {}

  // Nothing: it was published, or an error sent.  Else the webhook that is to be asked first.
  std::shared_ptr<const config::Webhook> publish(record::Record& record, const Command& command);
  void publish_allowed(record::Record& record, const Command& command);
  void presence(record::Record& record, const Command& command);
  void presence_stats(record::Record& record, const Command& command);
  void history(record::Record& record, const Command& command);

 private:
  void ask(record::Record& record, const Command& command, const ipc::Ask& question,
           std::function<void(record::Record&, const ipc::ChannelState&)> answer);

  Context& context_;
  ConnectionOps& ops_;
  Sender sender_;
  ChannelAccess& access_;
};

}  // namespace beamgate::proto::centrifuge
