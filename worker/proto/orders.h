// Orders: how what the application does to one connection, by a webhook's reply or the server API, reaches a client of
// a protocol that has words for it.
//
// Owner      The mode; ConnectionOps asks it.
// Thread     Worker loop thread only.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "worker/hub/hub.h"
#include "worker/record/record.h"
#include "worker/ws/application.h"

namespace beamgate::proto {

class Orders {
 public:
  virtual ~Orders() = default;

  // As ConnectionOps::subscribe() and unsubscribe(); the client is told.
  virtual Result<hub::Subscribed> subscribe(record::Record& record, std::string_view channel) = 0;
  virtual bool unsubscribe(record::Record& record, std::string_view channel) = 0;
  // The text message that brings these bytes.
  virtual std::string message(bool binary, std::string_view bytes) const = 0;
  // What its clients take for the close that RFC 6455 would say by this code.
  virtual ws::CloseText closes_with(uint16_t code, std::string_view reason) const { return {code, reason}; }
  // As ConnectionOps::refresh().
  virtual bool refresh(record::Record& record, bool expired, int64_t expires_s) {
    return static_cast<void>(record), static_cast<void>(expired), static_cast<void>(expires_s), false;
  }
};

}  // namespace beamgate::proto
