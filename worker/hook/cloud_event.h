// CloudEvent: how a call and an event look on the wire.
//
// Source   CloudEvents 1.0, HTTP protocol binding 1.0.2 section 3.1 (binary mode) for calls; JSON event format
//          1.0.2 section 4 (batches) for events; Standard Webhooks 1.0.0 for webhook-*.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/hook/request_head.h"
#include "worker/hook/webhooks.h"

namespace beamgate::hook {

// "/<listener>/<connection id>", characters a path can't hold percent-encoded.
std::string source_of(const Subject& subject);

// The fields of a blocking call.  now_ms is Unix time.
RequestHead head_of_call(const Call& call, int64_t now_ms);

// The fields of a batch of events.
RequestHead head_of_batch(std::string_view id, const std::vector<Secret>& keys, std::string_view body,
                          int64_t now_ms);

// One element of a batch.  "beamgatesequence" orders the events of a connection.
std::string json_of_event(const Event& event, int64_t now_ms);

}  // namespace beamgate::hook
