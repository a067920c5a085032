// Body kind: whether a request's body travels on as a text or a binary frame.
//
// Text: text/*, application/json and +json, application/xml and +xml, a form (what curl -d and most libraries
// say when they are told nothing), and no Content-Type at all.  Everything else is binary.
#pragma once

#include <cstdint>
#include <string_view>

namespace beamgate::api {

enum class BodyKind : uint8_t { Json, Text, Binary };

BodyKind body_kind(std::string_view content_type);

}  // namespace beamgate::api
