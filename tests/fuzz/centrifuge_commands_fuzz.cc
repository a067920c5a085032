// Centrifuge commands: each one is a line of its own, and reads the same when it stands alone; what is said of any
// publication is JSON in one line; tags come back as they were.  Input: a client's frame.
#include <vector>

#include "common/base/assert.h"
#include "common/base/utf8.h"
#include "common/json/value.h"
#include "tests/fuzz/target.h"
#include "worker/proto/centrifuge/commands.h"
#include "worker/proto/centrifuge/replies.h"
#include "worker/proto/centrifuge/shapes.h"
#include "worker/proto/centrifuge/subscription_tag.h"

namespace beamgate::fuzz {
namespace {

using namespace proto::centrifuge;

std::string one_line(std::string text) {
  BG_ASSERT(text.find('\n') == text.npos && json::parse(text).ok());
  return text;
}

void check_alone(const Command& command) {
  const std::string text(command.text);
  CommandReader reader(text);
  Command again;
  BG_ASSERT(reader.next(again) == CommandReader::Outcome::Command);
  BG_ASSERT(again.id == command.id && again.method == command.method && again.params.dump() == command.params.dump());
  BG_ASSERT(reader.next(again) == CommandReader::Outcome::End);
  if (command.method != Method::Pong && command.method != Method::Send) BG_ASSERT(command.id != 0);
  one_line(make_reply(command.id, command.method, command.params.dump()));
}

}  // namespace

FUZZ_TARGET(centrifuge_commands) {
  CommandReader reader(bytes);
  Command command;
  size_t before = bytes.size() + 1;
  while (reader.next(command) == CommandReader::Outcome::Command) {
    BG_ASSERT(command.text.data() >= bytes.data() && command.text.data() + command.text.size() <= bytes.data() + bytes.size());
    BG_ASSERT(reader.rest().size() < before);
    before = reader.rest().size();
    check_alone(command);
  }
  for (const auto kind : {ipc::PayloadKind::Text, ipc::PayloadKind::Binary}) {
    if (kind == ipc::PayloadKind::Text && !valid_utf8(bytes)) continue;
    std::string publication;
    append_publication(publication, kind, bytes, {}, 7, "a.b");
    one_line(make_push("room", "pub", one_line(publication)));
  }
  if (valid_utf8(bytes)) {
    one_line(make_error(3, ErrorCode{}, bytes));
    const std::string tag = SubscriptionTag{.command = 4, .recover = true, .offset = 9, .epoch = std::string(bytes)}.text();
    BG_ASSERT(parse_tag(tag).epoch == bytes && parse_tag(tag).offset == 9 && parse_tag(tag).text() == tag);
  }
  BG_ASSERT(parse_tag(parse_tag(bytes).text()).text() == parse_tag(bytes).text());
}

}  // namespace beamgate::fuzz
