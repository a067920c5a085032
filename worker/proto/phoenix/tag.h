// Tag: what the hub keeps of a subscription for this protocol: which join of the client's it is.
//
// Format     While the join is under way: join_ref, ref and the response that its reply is to have, a line
// each; then each push that follows the reply, behind a byte 1Eh: "t" and a text frame, or "b" and a binary one in base64.
// All of that is JSON but the base64: refs have no line's end in them, and nothing has a 1Eh.  Afterwards: join_ref alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace beamgate::proto::phoenix {

// A frame for the client.
struct Push {
  bool binary = false;
  std::string frame;
};

struct Tag {
  std::string_view join_ref;
  std::string_view ref;
  std::string_view response;
  std::string_view pushes = {};  // As encode_pushes() writes them.
};

std::string encode_pushes(const std::vector<Push>& pushes);
std::vector<Push> decode_pushes(std::string_view text);
std::string encode_tag(const Tag& tag);
Tag decode_tag(std::string_view text);  // Views into `text`.

}  // namespace beamgate::proto::phoenix
