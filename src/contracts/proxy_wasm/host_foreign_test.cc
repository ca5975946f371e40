// Foreign functions: the built-in ones, those of the embedding program, permissions, and answers
// that come later.
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <zlib.h>

#include <optional>
#include <string>
#include <thread>

#include "base/protobuf.h"
#include "contracts/proxy_wasm/testing.h"

namespace heddle::proxy_wasm {
namespace {

using namespace std::string_literals;

constexpr std::int64_t kA = Guest::kOut;
constexpr std::int64_t kB = Guest::kOut + 8;

std::string zlib_stream(std::string_view bytes) {
  uLongf size = ::compressBound(bytes.size());
  std::string out(size, '\0');
  EXPECT_EQ(::compress(reinterpret_cast<Bytef*>(out.data()), &size,
                       reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()),
            Z_OK);
  out.resize(size);
  return out;
}

std::string message(const std::vector<std::pair<std::uint32_t, std::string>>& fields) {
  std::string out;
  for (const auto& [number, bytes] : fields) protobuf::write_bytes(out, number, bytes);
  return out;
}

struct Answer {
  bool result = false;
  std::string second;
  std::string third;
};
Answer parse(std::string_view bytes) {
  Answer out;
  protobuf::Reader reader(bytes);
  while (const auto field = reader.next()) {
    if (field->number == 1) out.result = field->number_value != 0;
    if (field->number == 2) out.second = field->bytes;
    if (field->number == 3) out.third = field->bytes;
  }
  EXPECT_TRUE(reader.ok());
  return out;
}

class KeyPair {
 public:
  explicit KeyPair(EVP_PKEY* key) : key_(key) { EXPECT_NE(key, nullptr); }
  ~KeyPair() { EVP_PKEY_free(key_); }
  KeyPair(const KeyPair&) = delete;
  KeyPair& operator=(const KeyPair&) = delete;

  std::string private_der() const { return der(&i2d_PrivateKey); }
  std::string public_der() const { return der(&i2d_PUBKEY); }
  std::string private_pem() const {
    return pem([&](BIO* bio) {
      PEM_write_bio_PrivateKey(bio, key_, nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  std::string public_pem() const {
    return pem([&](BIO* bio) { PEM_write_bio_PUBKEY(bio, key_); });
  }

 private:
  template <typename Encode>
  std::string der(Encode encode) const {
    unsigned char* bytes = nullptr;
    const int size = encode(key_, &bytes);
    std::string out(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size));
    OPENSSL_free(bytes);
    return out;
  }
  template <typename Write>
  std::string pem(Write write) const {
    BIO* bio = BIO_new(BIO_s_mem());
    write(bio);
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio, &bytes);
    std::string out(bytes, static_cast<std::size_t>(size));
    BIO_free(bio);
    return out;
  }
  EVP_PKEY* key_;
};

class ForeignTest : public ProxyWasmTest {
 protected:
  // What the function gives for these arguments in a VM of its own; nothing: `status` is not OK.
  std::optional<std::string> ask(std::string_view name, std::string_view arguments) {
    close();
    Guest guest;
    const auto index =
        guest.call("proxy_call_foreign_function",
                   {guest.text(name), static_cast<std::int64_t>(name.size()), guest.text(arguments),
                    static_cast<std::int64_t>(arguments.size()), kA, kB});
    open(guest);
    status_ = run(index, *context_);
    if (status_ != 0) return std::nullopt;
    return got();
  }
  void open(const Guest& guest) {
    start_vm(guest);
    context_ = std::make_unique<TestContext>(host_.get());
    ASSERT_TRUE(open_context(*context_));
  }
  void close() {
    if (context_ != nullptr) vm_->close(*context_);
    context_.reset();
  }
  void TearDown() override {
    close();
    version_.reset();
    ProxyWasmTest::TearDown();
  }

  int status_ = 0;
  std::unique_ptr<TestContext> context_;
};

TEST_F(ForeignTest, CompressAndUncompress) {
  const std::string text(5000, 'a');
  EXPECT_EQ(ask("compress", text), zlib_stream(text));
  EXPECT_EQ(ask("compress", ""), zlib_stream(""));
  EXPECT_EQ(ask("uncompress", zlib_stream(text)), text);
  EXPECT_EQ(ask("uncompress", zlib_stream("")), "");
  EXPECT_EQ(ask("uncompress", zlib_stream("x") + "behind"), "x");
}

TEST_F(ForeignTest, WhatIsNoZlibStream) {
  const std::string whole = zlib_stream("some text that is compressed");
  for (const std::string& bytes :
       {""s, "x"s, "nothing of the kind"s, whole.substr(0, whole.size() - 1), whole.substr(2)}) {
    EXPECT_EQ(ask("uncompress", bytes), std::nullopt);
    EXPECT_EQ(status_, 3);
  }
}

TEST_F(ForeignTest, ASmallStreamCannotFillMemory) {
  spec_.buffer_limit = std::size_t{256} * 1024;
  EXPECT_EQ(ask("uncompress", zlib_stream(std::string(2'000'000, '\0'))), std::nullopt);
  EXPECT_EQ(status_, 10);
  EXPECT_EQ(
      counter("heddle_plugin_limit_hits_total", {{"plugin", "tested"}, {"limit", "body_bytes"}}),
      1U);
  spec_.buffer_limit = 10;
  EXPECT_EQ(ask("compress", "eleven bytes"), std::nullopt);
  EXPECT_EQ(status_, 10);
}

TEST_F(ForeignTest, SignAndVerify) {
  const KeyPair rsa(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}));
  const KeyPair ec(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  for (const KeyPair* keys : {&rsa, &ec}) {
    for (const std::string hash : {"sha1", "SHA256", "sha512"}) {
      const auto by_der =
          ask("sign", message({{1, hash}, {2, keys->private_der()}, {3, "the text"}}));
      const auto by_pem =
          ask("sign", message({{1, hash}, {4, keys->private_pem()}, {3, "the text"}}));
      for (const auto& each : {by_der, by_pem}) {
        ASSERT_TRUE(each.has_value());
        const Answer signature = parse(*each);
        ASSERT_TRUE(signature.result) << signature.third;
        const auto check = [&](std::string_view text, std::uint32_t form, const std::string& key) {
          return parse(
              ask("verify_signature",
                  message({{1, hash}, {form, key}, {3, signature.second}, {4, std::string(text)}}))
                  .value_or(""));
        };
        EXPECT_TRUE(check("the text", 2, keys->public_der()).result);
        EXPECT_TRUE(check("the text", 5, keys->public_pem()).result);
        const Answer wrong = check("another text", 2, keys->public_der());
        EXPECT_FALSE(wrong.result);
        EXPECT_EQ(wrong.second, "the signature does not match");
      }
    }
  }
}

TEST_F(ForeignTest, SignaturesThatCannotBe) {
  const KeyPair keys(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const auto md4 = ask("sign", message({{1, "md4"}, {2, keys.private_der()}, {3, "x"}}));
  EXPECT_EQ(parse(md4.value_or("")).third, "the hash function is not supported");
  const auto unknown =
      ask("verify_signature", message({{1, "none"}, {2, keys.public_der()}, {3, "s"}, {4, "x"}}));
  EXPECT_EQ(parse(unknown.value_or("")).second, "the hash function is not supported");
  const auto garbage =
      ask("verify_signature", message({{1, "sha256"}, {2, keys.public_der()}, {3, "s"}, {4, "x"}}));
  EXPECT_FALSE(parse(garbage.value_or("")).result);
  for (const std::string& arguments :
       {message({{1, "sha256"}, {3, "x"}}), message({{1, "sha256"}, {2, "no key"}, {3, "x"}}),
        message(
            {{1, "sha256"}, {4, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}}),
        message({{2, keys.private_der()}, {4, keys.private_pem()}}), "\x0a"s, "\x0a\xff\xff"s}) {
    EXPECT_EQ(ask("sign", arguments), std::nullopt);
    EXPECT_EQ(status_, 2);
    EXPECT_EQ(ask("verify_signature", arguments), std::nullopt);
    EXPECT_EQ(status_, 2);
  }
}

TEST_F(ForeignTest, DeclaredPropertiesAreSetOnce) {
  Guest guest;
  const auto declare = [&](std::string_view arguments) {
    return guest.call("proxy_call_foreign_function",
                      {guest.text("declare_property"), 16, guest.text(arguments),
                       static_cast<std::int64_t>(arguments.size()), 0, 0});
  };
  const auto set = [&](std::string_view path, std::string_view value) {
    return guest.call("proxy_set_property",
                      {guest.text(path), static_cast<std::int64_t>(path.size()), guest.text(value),
                       static_cast<std::int64_t>(value.size())});
  };
  std::string arguments = message({{1, "fixed"}});
  protobuf::write_varint(arguments, 2, 1);  // readonly
  protobuf::write_varint(arguments, 3, 1);  // String
  protobuf::write_varint(arguments, 5, 1);  // DownstreamRequest
  const auto read_only = declare(arguments);
  const auto free = declare(message({{1, "free"}}));
  const auto nameless = declare("");
  const auto broken = declare("\x0a\x09x");
  const auto first = set("fixed", "one");
  const auto second = set("fixed", "two");
  const auto free_first = set("free", "one");
  const auto free_second = set("free", "two");
  const auto get = guest.call("proxy_get_property", {guest.text("fixed"), 5, kA, kB});
  open(guest);
  const auto at = [&](std::size_t index) { return run(index, *context_); };
  EXPECT_EQ(at(read_only), 0);
  EXPECT_EQ(at(read_only), 2) << "declared twice";
  EXPECT_EQ(at(free), 0);
  EXPECT_EQ(at(nameless), 2);
  EXPECT_EQ(at(broken), 2);
  EXPECT_EQ(at(first), 0);
  EXPECT_EQ(at(second), 2);
  EXPECT_EQ(at(get), 0);
  EXPECT_EQ(got(), "one");
  EXPECT_EQ(at(free_first), 0);
  EXPECT_EQ(at(free_second), 0);
  EXPECT_EQ(host_->properties().at("free").value, "two");
}

TEST_F(ForeignTest, FilterState) {
  Guest guest;
  std::string arguments = message({{1, "my.key"}, {2, "a value"}});
  protobuf::write_varint(arguments, 3, 2);
  const auto set = guest.call("proxy_call_foreign_function",
                              {guest.text("set_envoy_filter_state"), 22, guest.text(arguments),
                               static_cast<std::int64_t>(arguments.size()), 0, 0});
  const auto bad = guest.call("proxy_call_foreign_function",
                              {guest.text("set_envoy_filter_state"), 22, 0, 0, 0, 0});
  const auto get =
      guest.call("proxy_get_property", {guest.text("filter_state\0my.key"s), 19, kA, kB});
  open(guest);
  EXPECT_EQ(run(get, *context_), 1);
  EXPECT_EQ(run(bad, *context_), 2);
  EXPECT_EQ(run(set, *context_), 0);
  EXPECT_EQ(run(get, *context_), 0);
  EXPECT_EQ(got(), "a value");
  TestContext root(nullptr);
  EXPECT_EQ(run(set, root), 1) << "no exchange";
}

TEST_F(ForeignTest, PermissionsAndNames) {
  EXPECT_EQ(ask("clear_route_cache", ""), "");
  EXPECT_EQ(host_->cleared_routes, 1);
  EXPECT_EQ(ask("no_such_function", ""), std::nullopt);
  EXPECT_EQ(status_, 1);
  spec_.foreign_functions = {"compress"};
  EXPECT_EQ(ask("clear_route_cache", ""), std::nullopt);
  EXPECT_EQ(status_, 1);
  EXPECT_NE(logged().find("permissions.foreign_functions"), std::string::npos);
}

TEST_F(ForeignTest, FunctionsOfTheEmbeddingProgram) {
  foreign_functions_.add("twice", 1, [](const extension::ForeignCall& call) {
    return Result<std::string>(std::string(call.plugin) + std::string(call.arguments) +
                               std::string(call.arguments));
  });
  foreign_functions_.add("bad", 2, [](const extension::ForeignCall&) -> Result<std::string> {
    return fail(ErrorKind::kInvalidArgument, "not like this");
  });
  foreign_functions_.add("broken", 3, [](const extension::ForeignCall&) -> Result<std::string> {
    throw std::runtime_error("a defect");
  });
  EXPECT_EQ(ask("twice", "ab"), std::nullopt);
  EXPECT_EQ(status_, 1) << "not permitted";
  spec_.foreign_functions = {"twice", "bad", "broken"};
  EXPECT_EQ(ask("twice", "ab"), "testedabab");
  EXPECT_EQ(ask("bad", ""), std::nullopt);
  EXPECT_EQ(status_, 2);
  EXPECT_EQ(ask("broken", ""), std::nullopt);
  EXPECT_EQ(status_, 10);
  const std::string log = logged();
  EXPECT_NE(log.find("not like this"), std::string::npos);
  EXPECT_NE(log.find("a defect"), std::string::npos);
}

TEST_F(ForeignTest, AnAnswerThatComesLater) {
  std::shared_ptr<extension::ForeignReply> reply;
  foreign_functions_.add("resolve", 42, [&](const extension::ForeignCall& call) {
    reply = call.reply;
    return Result<std::string>("");
  });
  spec_.foreign_functions = {"resolve"};
  Guest guest;
  const auto ask =
      guest.call("proxy_call_foreign_function", {guest.text("resolve"), 7, 0, 0, 0, 0});
  guest.add(
      "(func (export \"proxy_on_foreign_function\") (param $c i32) (param $f i32) (param $n "
      "i32) (i32.store (i32.const 100) (local.get $f)) (i32.store (i32.const 104) (local.get "
      "$n)) (drop " +
      guest.invoke("proxy_get_buffer_bytes", {8, 0, 100, kA, kB}) + "))");
  const auto outside = guest.call("proxy_get_buffer_bytes", {8, 0, 100, kA, kB});
  open(guest);
  EXPECT_EQ(run(ask, *context_), 0);
  EXPECT_EQ(run(outside, *context_), 1);
  ASSERT_NE(reply, nullptr);
  std::promise<void> done;
  std::thread([&] { reply->send("an answer"); }).join();
  worker_->start();
  worker_->post([&] { done.set_value(); });
  done.get_future().wait();
  EXPECT_EQ(out(100), 42U);
  EXPECT_EQ(out(104), 9U);
  EXPECT_EQ(got(), "an answer");
  worker_->stop();
  worker_->join();
  close();
  vm_.reset();
  root_.reset();
  version_.reset();
  reply->send("nobody is there");
}

}  // namespace
}  // namespace heddle::proxy_wasm
