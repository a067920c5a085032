// PongWatch: whoever wants to know which connections answer pings.
#pragma once

#include <string_view>

#include "worker/record/record.h"

namespace beamgate::ws {

class PongWatch {
 public:
  virtual ~PongWatch() = default;
  virtual void on_pong(record::ConnId connection, std::string_view payload) = 0;
  // It is closed, or another worker's from now on: no Pong of it will come here.
  virtual void on_gone(record::ConnId connection) = 0;
};

}  // namespace beamgate::ws
