// FastCGI response: records and the script's head mean the same wherever they are cut; and the pairs that are written for
// a script are read as they were.  Input: a byte (1: the request was HEAD), then records; with 2 in that byte the rest is
// a script's own output instead, which is put into records.
#include "common/base/bytes.h"
#include "tests/fuzz/responses.h"
#include "tests/fuzz/target.h"
#include "worker/fastcgi/params.h"
#include "worker/fastcgi/response_parser.h"

namespace beamgate::fuzz {
namespace {

std::string records_of(std::string_view output) {
  std::string out;
  fastcgi::append_stream(fastcgi::RecordType::Stdout, output, out);
  fastcgi::append_stream_end(fastcgi::RecordType::Stdout, out);
  constexpr char kEnd[] = {1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  return out.append(kEnd, sizeof kEnd);
}

// FastCGI 1.0 section 3.4.
size_t take_length(std::string_view& rest) {
  const auto first = static_cast<uint8_t>(rest.at(0));
  const size_t length = first < 128 ? first : load_be<uint32_t>(rest.substr(0, 4).data()) & 0x7fffffff;
  rest.remove_prefix(first < 128 ? 1 : 4);
  return length;
}

void check_params(std::string_view name, std::string_view value) {
  std::string pair;
  fastcgi::append_param(name, value, pair);
  std::string_view rest = pair;
  const size_t name_bytes = take_length(rest);
  const size_t value_bytes = take_length(rest);
  BG_ASSERT(rest.size() == name_bytes + value_bytes);
  BG_ASSERT(rest.substr(0, name_bytes) == name && rest.substr(name_bytes) == value);

  std::string stream, content;
  fastcgi::append_params(pair, stream);
  for (rest = stream; rest.size() > fastcgi::kHeaderBytes;) {
    const fastcgi::RecordHeader header = fastcgi::read_header(rest);
    BG_ASSERT(header.version == 1 && header.request_id == 1 && header.type == 4);
    content += rest.substr(fastcgi::kHeaderBytes, header.content_bytes);
    rest.remove_prefix(fastcgi::kHeaderBytes + header.content_bytes + header.padding_bytes);
  }
  BG_ASSERT(content == pair && fastcgi::read_header(rest).content_bytes == 0);
}

}  // namespace

FUZZ_TARGET(fastcgi_response) {
  Input input(bytes);
  const uint8_t mode = input.byte();
  const std::string text((mode & 2) != 0 ? records_of(input.rest()) : input.rest());
  const auto read = [&](Cut cut) {
    fastcgi::ResponseParser parser((mode & 1) != 0);
    return read_response(parser, text, cut);
  };
  const SeenResponse whole = read(Cut::Whole);
  for (const Cut cut : kCuts) BG_ASSERT(read(cut) == whole);
  const std::string_view name = input.line();
  check_params(name, input.rest());
  for (const char c : fastcgi::http_param_name(name)) BG_ASSERT(c < 'a' || c > 'z');
}

}  // namespace beamgate::fuzz
