// SQL in SQLite: values, isolation, limits, hostile statements, callers that go.
#include "services/sql_sqlite.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "net/blocking_pool.h"
#include "services/sql_json.h"
#include "services/sql_service.h"
#include "services/test_support.h"

namespace heddle::services {
namespace {

using std::chrono::milliseconds;

class SqliteTest : public testing::Test {
 protected:
  void make(SqliteOptions options = {}) {
    options.directory = folder_.path() + "/sql";
    options.limits.timeout = milliseconds(20'000);  // patient, as the machine may be busy
    sql_ = make_sqlite_sql(std::move(options), pool_);
  }
  Result<SqlResult> run(std::string statement, std::vector<SqlValue> parameters = {},
                        std::string plugin = "notes", SqlAccess access = SqlAccess::kWrite) {
    if (!sql_) make();
    return worker_.wait_for<SqlResult>([&](net::Worker& worker, Sql::Callback done) {
      return sql_->run(worker,
                       {.plugin = std::move(plugin),
                        .access = access,
                        .statement = std::move(statement),
                        .parameters = std::move(parameters),
                        .timeout = timeout_},
                       std::move(done));
    });
  }
  ErrorKind refused(const std::string& statement, std::vector<SqlValue> parameters = {}) {
    auto out = run(statement, std::move(parameters));
    EXPECT_FALSE(out.has_value()) << statement;
    if (out) return ErrorKind::kInternal;
    message_ = out.error().message;
    return out.error().kind;
  }

  TemporaryFolder folder_;
  TestWorker worker_;
  milliseconds timeout_{0};
  std::unique_ptr<Sql> sql_;
  std::string message_;
  net::BlockingPool pool_{2};  // ends first
};

TEST_F(SqliteTest, ValuesOfEveryType) {
  ASSERT_TRUE(run("CREATE TABLE t (a, b, c, d, e)"));
  const auto inserted = run("INSERT INTO t VALUES (?, ?, ?, ?, ?)",
                            {std::monostate{}, std::int64_t{1} << 62, 1.5, std::string("it's; --"),
                             SqlBlob{std::string("\0\xff", 2)}});
  ASSERT_TRUE(inserted) << inserted.error().message;
  EXPECT_EQ(inserted->affected, 1);
  const auto rows = run("SELECT * FROM t WHERE d = $1", {std::string("it's; --")});
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->columns, (std::vector<std::string>{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(sql_rows_json(*rows),
            R"({"rows":[{"a":null,"b":4611686018427387904,"c":1.5,"d":"it's; --","e":"AP8="}],)"
            R"("error":null})");
  EXPECT_EQ(run("SELECT $2 AS x, $1 AS y", {std::int64_t{1}, true})->rows[0],
            (std::vector<SqlValue>{std::int64_t{1}, std::int64_t{1}}));
  EXPECT_EQ(run("DELETE FROM t WHERE a = 9")->affected, 0);
  EXPECT_EQ(run("SELECT 1")->affected, 0);
}

TEST_F(SqliteTest, ParametersNeverBecomeStatements) {
  ASSERT_TRUE(run("CREATE TABLE t (name TEXT)"));
  ASSERT_TRUE(run("INSERT INTO t VALUES (?)", {std::string("x'); DROP TABLE t; --")}));
  EXPECT_EQ(run("SELECT name FROM t")->rows.size(), 1U);
  EXPECT_EQ(run("SELECT name FROM t WHERE name = ?", {std::string("' OR 1=1 --")})->rows.size(),
            0U);
}

TEST_F(SqliteTest, WrongCalls) {
  EXPECT_EQ(refused("SELEC 1"), ErrorKind::kInvalidArgument);
  EXPECT_EQ(refused("SELECT 1; DROP TABLE t"), ErrorKind::kInvalidArgument);
  EXPECT_EQ(refused(""), ErrorKind::kInvalidArgument);
  EXPECT_EQ(refused("SELECT ?"), ErrorKind::kInvalidArgument);
  EXPECT_EQ(message_, "the statement has 1 placeholders, and 0 parameters came");
  EXPECT_EQ(refused("SELECT 1", {true}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(refused("SELECT :name", {true}), ErrorKind::kInvalidArgument);
  EXPECT_TRUE(run("SELECT 1; -- done"));
  ASSERT_TRUE(run("CREATE TABLE t (id INTEGER PRIMARY KEY)"));
  ASSERT_TRUE(run("INSERT INTO t VALUES (1)"));
  EXPECT_EQ(refused("INSERT INTO t VALUES (1)"), ErrorKind::kConflict);
  EXPECT_EQ(message_, "UNIQUE constraint failed: t.id");
}

TEST_F(SqliteTest, EachPluginHasItsOwnFile) {
  ASSERT_TRUE(run("CREATE TABLE secret (x)", {}, "one"));
  const auto other = run("SELECT * FROM secret", {}, "two");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message, "no such table: secret");
  EXPECT_EQ(refused("ATTACH DATABASE '" + folder_.path() + "/sql/one.db' AS other"),
            ErrorKind::kPermission);
  EXPECT_EQ(refused("ATTACH DATABASE ? AS other", {folder_.path() + "/sql/one.db"}),
            ErrorKind::kPermission);
  EXPECT_EQ(refused("VACUUM INTO '/tmp/heddle-out.db'"), ErrorKind::kPermission);
  EXPECT_FALSE(std::filesystem::exists("/tmp/heddle-out.db"));
}

TEST_F(SqliteTest, NamesOfPluginsAreNoPaths) {
  EXPECT_EQ(plugin_file_name("../../etc/x"), "%2E%2E%2F%2E%2E%2Fetc%2Fx");
  EXPECT_EQ(plugin_file_name("Notes-1_a"), "Notes-1_a");
  EXPECT_NE(plugin_file_name(std::string(200, 'a') + "1"),
            plugin_file_name(std::string(200, 'a') + "2"));
}

TEST_F(SqliteTest, NothingReachesOutside) {
  for (const std::string statement :
       {"PRAGMA database_list", "PRAGMA max_page_count=1000000", "PRAGMA journal_mode=DELETE",
        "PRAGMA temp_store_directory='/etc'", "PRAGMA writable_schema=1", "PRAGMA synchronous=0",
        "SELECT load_extension('/tmp/x.so')", "SELECT * FROM pragma_database_list",
        "CREATE TEMP TABLE a (x)", "CREATE TABLE temp.a (x)", "CREATE TEMP VIEW a AS SELECT 1",
        "CREATE VIRTUAL TABLE temp.a USING fts5(text)", "BEGIN EXCLUSIVE", "SAVEPOINT a", "COMMIT",
        "DETACH main", "VACUUM"}) {
    EXPECT_EQ(refused(statement), ErrorKind::kPermission) << statement << ": " << message_;
  }
  // The connection is not left in anybody's transaction.
  EXPECT_TRUE(run("CREATE TABLE t (x)"));
  EXPECT_FALSE(run("UPDATE sqlite_master SET sql = 'x'"));
  EXPECT_TRUE(run("PRAGMA table_info(t)"));
  EXPECT_TRUE(run("CREATE VIRTUAL TABLE words USING fts5(text)"));
  EXPECT_TRUE(run("INSERT INTO words VALUES ('a word of it')"));
  EXPECT_EQ(run("SELECT text FROM words WHERE words MATCH 'word'")->rows.size(), 1U);
}

TEST_F(SqliteTest, ReadersDoNotWrite) {
  ASSERT_TRUE(run("CREATE TABLE t (x)"));
  EXPECT_TRUE(run("SELECT * FROM t", {}, "notes", SqlAccess::kRead));
  for (const char* statement : {"INSERT INTO t VALUES (1)", "DROP TABLE t", "CREATE TABLE u (x)"}) {
    const auto out = run(statement, {}, "notes", SqlAccess::kRead);
    ASSERT_FALSE(out);
    EXPECT_EQ(out.error().kind, ErrorKind::kPermission);
  }
}

TEST_F(SqliteTest, LimitsOfRowsAndBytes) {
  const std::string many =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n";
  EXPECT_EQ(run(many, {std::int64_t{10'000}})->rows.size(), 10'000U);
  EXPECT_EQ(refused(many, {std::int64_t{10'000'000}}), ErrorKind::kLimit);
  EXPECT_NE(message_.find("sql.max_rows"), std::string::npos);
  EXPECT_EQ(refused("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
                    "SELECT zeroblob(100000) FROM n"),
            ErrorKind::kLimit);
  EXPECT_NE(message_.find("sql.max_bytes"), std::string::npos);
  EXPECT_EQ(refused("SELECT zeroblob(100000000)"), ErrorKind::kLimit);
  EXPECT_EQ(refused("SELECT randomblob(2000000)"), ErrorKind::kLimit);
}

TEST_F(SqliteTest, AChangeWhoseRowsAreTooManyIsUndone) {
  make({.limits = {.max_rows = 10, .max_bytes = 10'000}});
  ASSERT_TRUE(run("CREATE TABLE t (x)"));
  const std::string numbers =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) ";
  const std::string insert = numbers + "INSERT INTO t SELECT i FROM n RETURNING ";
  EXPECT_EQ(run(insert + "x", {std::int64_t{10}})->rows.size(), 10U);
  EXPECT_EQ(refused(insert + "x", {std::int64_t{11}}), ErrorKind::kLimit);
  EXPECT_EQ(refused(insert + "zeroblob(5000)", {std::int64_t{3}}), ErrorKind::kLimit);
  EXPECT_EQ(refused("DELETE FROM t RETURNING x, zeroblob(5000)"), ErrorKind::kLimit);
  EXPECT_EQ(run("SELECT count(*) FROM t")->rows[0][0], SqlValue(std::int64_t{10}));
  EXPECT_EQ(run("DELETE FROM t RETURNING x")->affected, 10);
}

TEST_F(SqliteTest, EndlessStatementsEnd) {
  timeout_ = milliseconds(200);
  const std::string endless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
  const Nanoseconds start = monotonic_now();
  EXPECT_EQ(refused(endless), ErrorKind::kTimeout);
  EXPECT_LT(monotonic_now() - start, 10'000'000'000);
  timeout_ = milliseconds(0);
  EXPECT_TRUE(run("SELECT 1"));
}

TEST_F(SqliteTest, FunctionsOfTextsTakeTheTimeOfTheirLength) {
  const auto one = [&](const std::string& expression) {
    auto out = run("SELECT " + expression);
    EXPECT_TRUE(out) << expression << ": " << out.error().message;
    return out ? out->rows[0][0] : SqlValue("failed");
  };
  const SqlValue null;
  const auto number = [](std::int64_t value) { return SqlValue(value); };
  EXPECT_EQ(one("trim('  a b ')"), SqlValue("a b"));
  EXPECT_EQ(one("ltrim('xyxaxy', 'yx') || '|' || rtrim('xyxaxy', 'yx')"), SqlValue("axy|xyxa"));
  EXPECT_EQ(one("trim('äaöä', 'ä') || trim('öö', 'ö') || trim('ab', '')"), SqlValue("aöab"));
  EXPECT_EQ(one("trim(121, 1)"), SqlValue("2"));
  EXPECT_EQ(one("trim(NULL)"), null);
  EXPECT_EQ(one("trim('a', NULL)"), null);
  EXPECT_EQ(one("replace('abcabc', 'bc', 'x')"), SqlValue("axax"));
  EXPECT_EQ(one("replace('abc', '', 'x') || replace('', 'a', 'x')"), SqlValue("abc"));
  EXPECT_EQ(one("replace('aaa', 'aa', NULL)"), null);
  EXPECT_EQ(one("instr('größe', 'e')"), number(5));
  EXPECT_EQ(one("instr('abc', 'd')"), number(0));
  EXPECT_EQ(one("instr('abc', '')"), number(1));
  EXPECT_EQ(one("instr(x'c3bc61', x'61')"), number(3));
  EXPECT_EQ(one("instr(x'c3bc61', 'a')"), number(2));
  EXPECT_EQ(one("instr('ü', cast(x'bc' AS TEXT))"), number(0));
  EXPECT_EQ(one("instr(NULL, 'a')"), null);
  const std::string zeros = "hex(zeroblob(500000))";
  EXPECT_EQ(refused("SELECT replace(" + zeros + ", '0', '00')"), ErrorKind::kLimit);
  // SQLite's own take minutes for each of these.
  EXPECT_EQ(one("length(trim(" + zeros + ", replace(substr(" + zeros + ", 1, 80000), '0', '1')))"),
            number(1'000'000));
  EXPECT_EQ(one("length(replace(" + zeros + ", substr(" + zeros + ", 1, 400000) || '1', ''))"),
            number(1'000'000));
  EXPECT_EQ(one("instr(" + zeros + ", substr(" + zeros + ", 1, 400000) || '1')"), number(0));
}

TEST_F(SqliteTest, ACallerIsToldInTimeWhateverTheStatementDoes) {
  ASSERT_TRUE(run("CREATE TABLE t (x)"));
  const auto slow = [](const std::string& end) {
    return "(hex(zeroblob(500000)) LIKE '%" + std::string(180, '0') + end + "')";
  };
  const std::string slower = slow("1") + " + " + slow("2") + " + " + slow("3") + " + " + slow("4");
  timeout_ = milliseconds(50);
  EXPECT_EQ(refused("SELECT " + slower), ErrorKind::kTimeout);
  timeout_ = milliseconds(0);
  ASSERT_TRUE(run("SELECT 1"));
  timeout_ = milliseconds(50);
  EXPECT_EQ(refused("INSERT INTO t SELECT " + slower), ErrorKind::kTimeout);
  timeout_ = milliseconds(0);
  EXPECT_EQ(run("SELECT count(*) FROM t")->rows[0][0], SqlValue(std::int64_t{0}));
}

TEST_F(SqliteTest, ADatabaseHasASize) {
  make({.max_file_bytes = 256 << 10U});
  ASSERT_TRUE(run("CREATE TABLE t (x)"));
  EXPECT_TRUE(run("INSERT INTO t VALUES (zeroblob(100000))"));
  EXPECT_EQ(refused("INSERT INTO t VALUES (zeroblob(200000))"), ErrorKind::kLimit);
  EXPECT_NE(message_.find("sql.max_size"), std::string::npos);
  EXPECT_EQ(run("SELECT count(*) FROM t")->rows[0][0], SqlValue(std::int64_t{1}));
  EXPECT_TRUE(run("DELETE FROM t"));
  EXPECT_TRUE(run("INSERT INTO t VALUES (zeroblob(150000))"));
}

TEST_F(SqliteTest, WhatAStatementSortsAndGathersHasTheSizeOfADatabase) {
  make({.max_file_bytes = 8 << 20U});
  const auto bytes = [](const std::string& rows) {
    return "WITH RECURSIVE c(i, b) AS (SELECT 1, randomblob(100000) UNION ALL SELECT i + 1, "
           "randomblob(100000) FROM c WHERE i < " +
           rows + ") ";
  };
  const std::string sorts = "SELECT count(*) FROM (SELECT b FROM c ORDER BY b LIMIT -1 OFFSET 1)";
  const std::string gathers = "SELECT count(DISTINCT b) FROM c";
  for (const std::string& statement : {sorts, gathers}) {
    EXPECT_TRUE(run(bytes("20") + statement)) << statement;
    EXPECT_EQ(refused(bytes("1000") + statement), ErrorKind::kLimit) << statement << message_;
    EXPECT_NE(message_.find("sql.max_size"), std::string::npos) << message_;
    EXPECT_TRUE(run(bytes("20") + statement)) << "the room is free again";
  }
}

// A file-size limit of the process stands for a disk that takes no more.
TEST_F(SqliteTest, ADiskThatTakesNoMore) {
  ASSERT_TRUE(run("CREATE TABLE t (x)"));
  rlimit former{};
  getrlimit(RLIMIT_FSIZE, &former);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 128 << 10U, .rlim_max = former.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto out = run("INSERT INTO t VALUES (zeroblob(500000))");
  setrlimit(RLIMIT_FSIZE, &former);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(out);
  EXPECT_TRUE(out.error().kind == ErrorKind::kIo || out.error().kind == ErrorKind::kLimit);
  EXPECT_EQ(run("SELECT count(*) FROM t")->rows[0][0], SqlValue(std::int64_t{0}));
  EXPECT_TRUE(run("INSERT INTO t VALUES (zeroblob(500000))"));
}

TEST_F(SqliteTest, AFolderThatCannotBeMade) {
  std::ofstream(folder_.path() + "/file") << "x";
  sql_ = make_sqlite_sql({.directory = folder_.path() + "/file/sql"}, pool_);
  EXPECT_EQ(refused("SELECT 1"), ErrorKind::kIo);
  EXPECT_NE(message_.find("/file/sql"), std::string::npos);
}

TEST_F(SqliteTest, ACallerThatGoes) {
  make();
  bool called = false;
  Pending pending;
  worker_.on_worker([&] {
    pending =
        sql_->run(worker_.worker,
                  {.plugin = "notes",
                   .access = SqlAccess::kWrite,
                   .statement = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                                "SELECT count(*) FROM n"},
                  [&](const auto&) { called = true; });
  });
  const Nanoseconds start = monotonic_now();
  worker_.on_worker([&] { pending.reset(); });
  // Both threads of the pool are free again long before the time-out.
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(run("SELECT 1"));
  EXPECT_LT(monotonic_now() - start, 10'000'000'000);
  EXPECT_FALSE(called);
}

TEST_F(SqliteTest, ManyCallsAtOnceAllEnd) {
  make({.limits = {.max_waiting = 100}});
  ASSERT_TRUE(run("CREATE TABLE t (x)"));
  constexpr int kCalls = 300;
  std::atomic<int> done = 0;
  std::atomic<int> limited = 0;
  std::vector<Pending> pending;
  worker_.on_worker([&] {
    for (int i = 0; i < kCalls; ++i) {
      pending.push_back(sql_->run(worker_.worker,
                                  {.plugin = "notes",
                                   .access = SqlAccess::kWrite,
                                   .statement = "INSERT INTO t VALUES (?)",
                                   .parameters = {std::int64_t{i}}},
                                  [&](const Result<SqlResult>& result) {
                                    if (!result) ++limited;
                                    ++done;
                                  }));
    }
  });
  const Nanoseconds start = monotonic_now();
  while (done < kCalls && monotonic_now() - start < 30'000'000'000) std::this_thread::yield();
  worker_.on_worker([&] { pending.clear(); });
  EXPECT_EQ(done, kCalls);
  EXPECT_GT(limited, 0);
  EXPECT_EQ(run("SELECT count(*) FROM t")->rows[0][0], SqlValue(std::int64_t{kCalls - limited}));
}

TEST_F(SqliteTest, TheServiceChecksAndCounts) {
  make();
  metrics::Registry registry;
  ServiceMetrics service_metrics(registry);
  sql_ = std::make_unique<SqlService>(
      std::move(sql_), SqlLimits{.max_statement_bytes = 50, .max_parameters = 2}, service_metrics);
  EXPECT_EQ(run("SELECT 1", {}, "notes", SqlAccess::kNone).error().kind, ErrorKind::kPermission);
  EXPECT_EQ(refused("SELECT 1 " + std::string(50, ' ')), ErrorKind::kLimit);
  EXPECT_EQ(refused("SELECT ?, ?, ?", {true, true, true}), ErrorKind::kLimit);
  EXPECT_EQ(refused("SELECT ?", {std::string("a\0b", 3)}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(refused(std::string("SELECT 1\0", 9)), ErrorKind::kInvalidArgument);
  EXPECT_TRUE(message_.starts_with("plugin notes: SQL: ")) << message_;
  EXPECT_TRUE(run("SELECT 1"));
  EXPECT_EQ(service_metrics.of("notes", "sql").calls->value(), 6U);
  EXPECT_EQ(service_metrics.of("notes", "sql").errors->value(), 5U);
}

TEST(SqlJson, Parameters) {
  const auto values = sql_parameters(R"([null,true,1,1.5,"a",{"$bytes":"AP8="},{"a":[1]},[]])");
  ASSERT_TRUE(values);
  EXPECT_EQ(*values, (std::vector<SqlValue>{std::monostate{}, true, std::int64_t{1}, 1.5, "a",
                                            SqlBlob{std::string("\0\xff", 2)},
                                            SqlJson{R"({"a":[1]})"}, SqlJson{"[]"}}));
  EXPECT_TRUE(sql_parameters("")->empty());
  EXPECT_TRUE(sql_parameters("null")->empty());
  for (const char* wrong : {"{}", "[", "[18446744073709551615]", R"([{"$bytes":"?"}])", "1"}) {
    EXPECT_FALSE(sql_parameters(wrong)) << wrong;
  }
  EXPECT_FALSE(sql_parameters(std::string(10'000, '[')));
}

TEST(SqlJson, Calls) {
  SqlRequest request;
  ASSERT_TRUE(read_sql_call("SELECT 1", request));
  EXPECT_EQ(request.statement, "SELECT 1");
  ASSERT_TRUE(read_sql_call(R"( {"sql":"SELECT ?","params":[1]})", request));
  EXPECT_EQ(request.statement, "SELECT ?");
  EXPECT_EQ(request.parameters, std::vector<SqlValue>{std::int64_t{1}});
  EXPECT_FALSE(read_sql_call(R"({"sql":1})", request));
  EXPECT_EQ(sql_error_json({ErrorKind::kLimit, "too \"much\""}),
            R"({"rows":[],"error":"too \"much\""})");
}

}  // namespace
}  // namespace heddle::services
