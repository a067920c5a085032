// Long-poll body: what a client posts, and how a poll is answered.
//
// Format     Posted: frames, a line each; one that begins with "[" is a text frame, any other base64 of a
// binary one.
//            Answered: {"status":200,"token":"...","messages":["...", ...]}; the JSON's status counts, HTTP's
//            is 200.
// Limits     kFramesMax in one post, as phoenix.js keeps to.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace beamgate::proto::phoenix {

constexpr size_t kFramesMax = 100;

struct PostedFrame {
  bool binary = false;
  std::string bytes;
};

// Nothing: one of the lines is neither, or there are too many.
std::optional<std::vector<PostedFrame>> parse_post(std::string_view body);

std::string poll_answer(uint16_t status, std::string_view token, const std::vector<std::string>& messages);
std::string status_answer(uint16_t status);  // {"status":N}

}  // namespace beamgate::proto::phoenix
