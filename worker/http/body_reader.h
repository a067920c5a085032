// Body reader: where a request body ends, and how much of it there has been.
//
// Owner      Session.  Holds no bytes: data are handed on as views into the caller's buffer.
// Limits     bytes_max; TooLarge once it is passed, before the byte that passes it is handed on.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/http/chunk_decoder.h"
#include "worker/http/exchange.h"

namespace beamgate::http {

class BodyReader {
 public:
  struct Step {
    enum class Kind : uint8_t { NeedMore, Data, Complete, Bad, TooLarge };
    Kind kind = Kind::NeedMore;
    size_t used = 0;        // Bytes of framing consumed; data follow right behind them.
    std::string_view data;  // Data: tell with took() how much of it was taken.
  };

  BodyReader() = default;
  BodyReader(const Request& request, uint64_t bytes_max);  // bytes_max 0: no limit.

  // Whatever comes, until the connection ends.
  static BodyReader endless();

  Step next(std::string_view bytes);
  void took(size_t bytes);

  bool complete() const { return complete_; }
  uint64_t received() const { return received_; }
  // What is still to come; UINT64_MAX when only the body itself will tell.
  uint64_t remaining() const;

 private:
  ChunkDecoder chunks_;
  uint64_t remaining_ = 0;  // Without chunks.
  uint64_t received_ = 0;
  uint64_t bytes_max_ = 0;
  bool chunked_ = false;
  bool complete_ = true;
};

}  // namespace beamgate::http
