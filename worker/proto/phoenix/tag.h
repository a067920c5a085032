// Tag: what the hub keeps of a subscription for this protocol: which join of the client's it is.
//
// Format     While the join is under way: join_ref, ref and the response that its reply is to have, a line
// each; JSON,
//            so that none has a line's end in it.  Afterwards: join_ref alone.
#pragma once

#include <string>
#include <string_view>

namespace beamgate::proto::phoenix {

struct Tag {
  std::string_view join_ref;
  std::string_view ref;
  std::string_view response;
};

std::string encode_tag(const Tag& tag);
Tag decode_tag(std::string_view text);  // Views into `text`.

}  // namespace beamgate::proto::phoenix
