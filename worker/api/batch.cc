#include "worker/api/batch.h"

#include <memory>
#include <utility>
#include <vector>

namespace beamgate::api {
namespace {

// One batch under way; shared by the commands that are not answered yet.
class Batch : public std::enable_shared_from_this<Batch> {
 public:
  Batch(Methods& methods, json::Value&& request, uint64_t payload_bytes_max,
        std::function<void(std::string&&)> done)
      : methods_(methods),
        request_(std::move(request)),
        commands_(*request_.get_array("commands")),
        parallel_(request_.get_bool("parallel").value_or(false)),
        payload_bytes_max_(payload_bytes_max),
        done_(std::move(done)),
        replies_(commands_.size()),
        missing_(commands_.size()) {}

  void start() {
    if (parallel_) {
      // A command may end the batch at once; only the loop's own count is looked at.
      for (size_t i = 0; i < commands_.size(); ++i) run(i);
      return;
    }
    advance();
  }

 private:
  // Runs command after command until one is answered later; its answer comes back here.
  void advance() {
    if (advancing_) return;
    advancing_ = true;
    while (next_ < commands_.size() && !waiting_) {
      waiting_ = true;
      run(next_++);
    }
    advancing_ = false;
  }

  void run(size_t index) {
    const json::Value::Member* command = find_command(commands_[index]);
    if (command == nullptr) return put(index, {}, Reply::failed(ErrorCode::NotFound, "no such method"));
    Methods::Caller caller;
    caller.payload_bytes_max = payload_bytes_max_;
    // The name lives in request_, which lives as long as this.
    methods_.run(command->first, command->second, caller,
                 [self = shared_from_this(), index, method = std::string_view(command->first)](Reply&& reply) {
                   self->put(index, method, std::move(reply));
                 });
  }

  // {"publish":{...}}; other members, such as Centrifugo's id, don't count.
  static const json::Value::Member* find_command(const json::Value& value) {
    const json::Value::Object* members = value.as_object();
    if (members == nullptr) return nullptr;
    for (const json::Value::Member& member : *members) {
      if (Methods::known(member.first)) return &member;
    }
    return nullptr;
  }

  void put(size_t index, std::string_view method, Reply&& reply) {
    json::Value document;
    if (reply.ok()) {
      document.set(method, std::move(reply.result));
    } else {
      document.set("error", error_to_json(reply));
    }
    std::string text = document.dump();
    if (bytes_ + text.size() > kReplyBytesMax) {
      text = to_json(Reply::failed(ErrorCode::LimitExceeded, "replies too big")).dump();
    } else {
      bytes_ += text.size();
    }
    replies_[index] = std::move(text);
    waiting_ = false;
    if (--missing_ == 0) return finish();
    if (!parallel_) advance();
  }

  void finish() {
    std::string body = "{\"replies\":[";
    for (size_t i = 0; i < replies_.size(); ++i) {
      if (i > 0) body += ',';
      body += replies_[i];
    }
    body += "]}";
    done_(std::move(body));
  }

  Methods& methods_;
  const json::Value request_;
  const json::Value::Array& commands_;
  const bool parallel_;
  const uint64_t payload_bytes_max_;
  const std::function<void(std::string&&)> done_;
  std::vector<std::string> replies_;
  size_t missing_;
  size_t next_ = 0;
  size_t bytes_ = 0;
  bool waiting_ = false;
  bool advancing_ = false;
};

}  // namespace

bool run_batch(Methods& methods, json::Value&& request, uint64_t payload_bytes_max,
               std::function<void(std::string&&)> done, const char*& problem) {
  const json::Value::Array* commands = request.get_array("commands");
  if (commands == nullptr || commands->empty()) {
    problem = "commands required";
    return false;
  }
  if (commands->size() > kCommandsMax) {
    problem = "too many commands";
    return false;
  }
  if (const json::Value* parallel = request.find("parallel");
      parallel != nullptr && !parallel->is_null() && !parallel->as_bool()) {
    problem = "parallel is not true or false";
    return false;
  }
  std::make_shared<Batch>(methods, std::move(request), payload_bytes_max, std::move(done))->start();
  return true;
}

}  // namespace beamgate::api
