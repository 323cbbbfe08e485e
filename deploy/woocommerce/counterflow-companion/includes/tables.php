<?php
/**
 * The tables, and the one transaction in which anything is written to them.
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'ABSPATH' ) || exit;

const TABLES       = array( 'sequences', 'points', 'gift_cards', 'gift_card_entries', 'customers', 'welcomes' );
const FEEDS        = array( 'points', 'gift_cards', 'customers' );
const WRITTEN      = array(
	'points'     => array( 'sequences', 'points' ),
	'gift_cards' => array( 'sequences', 'gift_cards', 'gift_card_entries' ),
	'customers'  => array( 'sequences', 'customers' ),
);
const ATTEMPTS_MAX = 8;

/**
 * The database refused, or was gone.
 */
class Trouble extends \RuntimeException {

	const DEADLOCK  = 1213;
	const WAITED    = 1205;
	const DUPLICATE = 1062;
	const GONE      = 2006;

	/**
	 * Say whether the same once more may work.
	 */
	public function is_transient(): bool {
		return in_array( $this->getCode(), array( self::DEADLOCK, self::WAITED, self::DUPLICATE, self::GONE ), true );
	}
}

/**
 * Give a table's full name.
 *
 * @param string $name One of TABLES.
 */
function table( string $name ): string {
	global $wpdb;
	return $wpdb->prefix . 'counterflow_' . $name;
}

/**
 * Make the tables, or change them to what this version needs.
 *
 * A reference and a card's number are compared byte by byte: "a" and "A" are two. One character set for all columns:
 * WordPress lets only ASCII into a table with two.
 */
function make_tables(): void {
	global $wpdb;
	require_once ABSPATH . 'wp-admin/includes/upgrade.php';
	$end = 'ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci';
	dbDelta(
		array(
			'CREATE TABLE ' . table( 'sequences' ) . " (
				feed varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
				n bigint(20) unsigned NOT NULL,
				PRIMARY KEY  (feed)
			) $end;",
			'CREATE TABLE ' . table( 'points' ) . " (
				id bigint(20) unsigned NOT NULL,
				user_id bigint(20) unsigned NOT NULL,
				points bigint(20) NOT NULL,
				reference varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
				reason varchar(200) NOT NULL,
				created_gmt datetime NOT NULL,
				PRIMARY KEY  (id),
				UNIQUE KEY reference (reference),
				KEY user_points (user_id,points)
			) $end;",
			'CREATE TABLE ' . table( 'gift_cards' ) . " (
				number varchar(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
				reference varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
				is_void tinyint(1) NOT NULL,
				expires_gmt datetime DEFAULT NULL,
				created_gmt datetime NOT NULL,
				PRIMARY KEY  (number),
				UNIQUE KEY reference (reference)
			) $end;",
			'CREATE TABLE ' . table( 'gift_card_entries' ) . " (
				id bigint(20) unsigned NOT NULL,
				number varchar(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
				cents bigint(20) NOT NULL,
				reference varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
				reason varchar(200) NOT NULL,
				order_id bigint(20) unsigned DEFAULT NULL,
				created_gmt datetime NOT NULL,
				PRIMARY KEY  (id),
				UNIQUE KEY reference (reference),
				KEY number_cents (number,cents)
			) $end;",
			'CREATE TABLE ' . table( 'customers' ) . " (
				user_id bigint(20) unsigned NOT NULL,
				id bigint(20) unsigned NOT NULL,
				is_deleted tinyint(1) NOT NULL,
				changed_gmt datetime NOT NULL,
				PRIMARY KEY  (user_id),
				UNIQUE KEY id (id)
			) $end;",
			'CREATE TABLE ' . table( 'welcomes' ) . " (
				user_id bigint(20) unsigned NOT NULL,
				sent_gmt datetime NOT NULL,
				PRIMARY KEY  (user_id)
			) $end;",
		)
	);
	foreach ( FEEDS as $feed ) {
		$wpdb->query( $wpdb->prepare( 'INSERT IGNORE INTO ' . table( 'sequences' ) . ' (feed, n) VALUES (%s, 0)', $feed ) );
	}
}

/**
 * Name the tables without transactions: there a reference could be used twice, and a balance fall below 0.
 *
 * @param string[] $names Of TABLES.
 * @return string[]
 */
function tables_without_transactions( array $names ): array {
	global $wpdb;
	$wrong = array();
	foreach ( array_map( __NAMESPACE__ . '\table', $names ) as $table ) {
		$engine = $wpdb->get_var( $wpdb->prepare( 'SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s', $table ) );
		if ( 'innodb' !== strtolower( (string) $engine ) ) {
			$wrong[] = $table;
		}
	}
	return $wrong;
}

/**
 * Give the error to answer with where tables have no transactions, else null.
 *
 * @param string[] $names Of TABLES.
 */
function refuse_without_transactions( array $names = TABLES ): ?\WP_Error {
	$wrong = tables_without_transactions( $names );
	if ( ! $wrong ) {
		return null;
	}
	return new \WP_Error(
		'counterflow_not_innodb',
		sprintf(
			/* translators: %s: names of tables. */
			__( 'These tables are missing or not InnoDB, so nothing is written: %s. Convert them (ALTER TABLE ... ENGINE=InnoDB), or activate the plugin again.', 'counterflow-companion' ),
			implode( ', ', $wrong )
		),
		array( 'status' => 500 )
	);
}

/**
 * Write in one feed: everything or nothing, one writer after the other.
 *
 * The next id is drawn from the feed's row first, and its lock is held to the commit. So ids rise in the order of
 * commits, no reader of `changes` finds a lower id later, and what the work reads is nobody else's to change.
 *
 * @param string   $feed One of FEEDS.
 * @param callable $work Takes the id; gives the answer. It is kept only where the answer's `id` is the id it took.
 * @return array|\WP_Error
 */
function write_in_feed( string $feed, callable $work ) {
	global $wpdb;
	$refusal = refuse_without_transactions( WRITTEN[ $feed ] );
	if ( $refusal ) {
		return $refusal;
	}
	$quiet = $wpdb->suppress_errors( true ); // A deadlock is tried again, not printed into the answer.
	try {
		for ( $attempt = 1; ; $attempt++ ) {
			try {
				return write_once( $feed, $work );
			} catch ( Trouble $trouble ) {
				if ( $attempt >= ATTEMPTS_MAX || ! $trouble->is_transient() ) {
					return as_error( $trouble );
				}
				usleep( random_int( 1000, 20000 ) * $attempt );
			}
		}
	} finally {
		$wpdb->suppress_errors( $quiet );
	}
}

/**
 * Write in one feed, without a second attempt. See write_in_feed().
 *
 * WordPress connects again by itself when the connection is lost, and then goes on outside of the transaction. The
 * connection's number shows it: it must be the same at both ends.
 *
 * @param string   $feed One of FEEDS.
 * @param callable $work The work.
 * @return array|\WP_Error
 * @throws Trouble The database refused, or was gone.
 */
function write_once( string $feed, callable $work ) {
	global $wpdb;
	$connection = read( 'SELECT CONNECTION_ID()' );
	run( 'START TRANSACTION' );
	try {
		run( $wpdb->prepare( 'UPDATE ' . table( 'sequences' ) . ' SET n = LAST_INSERT_ID(n + 1) WHERE feed = %s', $feed ) );
		$id = (int) read( 'SELECT LAST_INSERT_ID()' );
		must_be_connection( $connection );
		$answer = $work( $id );
		$kept   = is_array( $answer ) && $id === $answer['id'];
		run( $kept ? 'COMMIT' : 'ROLLBACK' );
		must_be_connection( $connection );
		return $answer;
	} catch ( \Throwable $error ) {
		$wpdb->query( 'ROLLBACK' );
		throw $error;
	}
}

/**
 * Run one statement and give how many rows it touched.
 *
 * @param string $sql The statement, prepared.
 * @throws Trouble It failed.
 */
function run( string $sql ): int {
	global $wpdb;
	$rows = $wpdb->query( $sql ); // phpcs:ignore WordPress.DB.PreparedSQL.NotPrepared -- Prepared by the caller.
	if ( false === $rows ) {
		throw trouble_now();
	}
	return (int) $rows;
}

/**
 * Run one statement that must write one row, and only inside of the transaction that drew the id.
 *
 * @param string $sql An INSERT ... SELECT ... WHERE LAST_INSERT_ID() = the id: 0 rows on another connection.
 * @throws Trouble It failed, or the connection is another one.
 */
function run_for_one_row( string $sql ): void {
	if ( 1 !== run( $sql ) ) {
		throw new Trouble( 'The connection to the database was lost.', Trouble::GONE );
	}
}

/**
 * Read one value; null is NULL, or no row.
 *
 * @param string $sql The statement, prepared.
 * @throws Trouble It failed.
 */
function read( string $sql ): ?string {
	$row = read_row( $sql );
	return null === $row ? null : reset( $row );
}

/**
 * Read one row; null is none.
 *
 * @param string $sql The statement, prepared.
 * @throws Trouble It failed.
 */
function read_row( string $sql ): ?array {
	global $wpdb;
	run( $sql );
	return isset( $wpdb->last_result[0] ) ? get_object_vars( $wpdb->last_result[0] ) : null;
}

/**
 * Refuse to go on with another connection.
 *
 * @param string|null $connection Its number at the beginning.
 * @throws Trouble It is another one.
 */
function must_be_connection( ?string $connection ): void {
	if ( read( 'SELECT CONNECTION_ID()' ) !== $connection ) {
		throw new Trouble( 'The connection to the database was lost.', Trouble::GONE );
	}
}

/**
 * Give the last error of the database as trouble.
 */
function trouble_now(): Trouble {
	global $wpdb;
	$code = $wpdb->dbh instanceof \mysqli ? $wpdb->dbh->errno : 0;
	return new Trouble( $wpdb->last_error ? $wpdb->last_error : 'The database is gone.', $code );
}

/**
 * Give trouble as an answer: 503 where the same may work later.
 *
 * @param Trouble $trouble What happened. Its words may show the statement, so they go to the log only.
 */
function as_error( Trouble $trouble ): \WP_Error {
	error_log( 'counterflow: database error ' . $trouble->getCode() . ': ' . $trouble->getMessage() ); // phpcs:ignore WordPress.PHP.DevelopmentFunctions.error_log_error_log -- The shop's only place to read why.
	if ( $trouble->is_transient() ) {
		return new \WP_Error( 'counterflow_busy', __( 'The database was busy. Ask again.', 'counterflow-companion' ), array( 'status' => 503 ) );
	}
	return new \WP_Error( 'counterflow_database', __( 'The database refused; its error log says why.', 'counterflow-companion' ), array( 'status' => 500 ) );
}

/**
 * Read rows outside of a transaction.
 *
 * @param string $sql The statement, prepared.
 * @return array[]|\WP_Error
 */
function read_rows( string $sql ) {
	global $wpdb;
	$quiet = $wpdb->suppress_errors( true );
	try {
		run( $sql );
		return array_map( 'get_object_vars', $wpdb->last_result );
	} catch ( Trouble $trouble ) {
		return as_error( $trouble );
	} finally {
		$wpdb->suppress_errors( $quiet );
	}
}

/**
 * Give a page of a feed: `{changes, last}`.
 *
 * @param array[]|\WP_Error $rows   The page's rows, rising by id.
 * @param int               $after  After which id it was asked.
 * @param callable          $change Makes a change of a row.
 * @return array|\WP_Error
 */
function page_of( $rows, int $after, callable $change ) {
	if ( is_wp_error( $rows ) ) {
		return $rows;
	}
	$last = $rows ? (int) end( $rows )['id'] : $after;
	return array(
		'changes' => array_map( $change, $rows ),
		'last'    => $last,
	);
}

/**
 * Give a time of the database as the routes say it: UTC, no zone.
 *
 * @param string|null $time As the database has it.
 */
function time_of( ?string $time ): ?string {
	return null === $time ? null : str_replace( ' ', 'T', $time );
}
