// Batch: several commands in one request, their replies in the commands' order.
//
// Format     {"commands":[{"publish":{...}},{"info":{}}],"parallel":false} gives
//            {"replies":[{"publish":{...}},{"error":{"code","message"}}]}, as Centrifugo does.
// Order      One after the other, each begun when the one before is answered; with "parallel" all at once.
// Limits     kCommandsMax commands; replies above kReplyBytesMax in all become LimitExceeded errors.
#pragma once

#include <functional>
#include <string>

#include "common/json/value.h"
#include "worker/api/methods.h"

namespace beamgate::api {

constexpr size_t kCommandsMax = 1000;
constexpr size_t kReplyBytesMax = size_t{8} << 20;

// Runs the batch and calls done(body) once, at once or later.  False, and nothing is run: `problem` says what
// is wrong with the request.  methods must live until done is called.
bool run_batch(Methods& methods, json::Value&& request, uint64_t payload_bytes_max,
               std::function<void(std::string&&)> done, const char*& problem);

}  // namespace beamgate::api
