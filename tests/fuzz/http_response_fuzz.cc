// HTTP response: a backend's bytes mean the same wherever they are cut, a body is as long as was said, and what is passed
// on holds nothing that could end a line.  Input: a byte that says what was asked for (HEAD 1, upgrade 2, trailers 4), and
// the response.
#include "tests/fuzz/responses.h"
#include "tests/fuzz/target.h"
#include "worker/upstream/response_parser.h"

namespace beamgate::fuzz {

FUZZ_TARGET(http_response) {
  Input input(bytes);
  const uint8_t asked = input.byte();
  const auto read = [&](Cut cut) {
    upstream::ResponseParser parser({.head = (asked & 1) != 0, .upgrade = (asked & 2) != 0, .trailers = (asked & 4) != 0});
    return read_response(parser, input.rest(), cut);
  };
  const SeenResponse whole = read(Cut::Whole);
  for (const Cut cut : kCuts) BG_ASSERT(read(cut) == whole);
}

}  // namespace beamgate::fuzz
