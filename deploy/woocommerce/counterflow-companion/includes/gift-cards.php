<?php
/**
 * Gift cards: a number that was given, and a book of cents that is only ever added to.
 *
 * A number is money, so it is in no address: it would stand in every log.
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'ABSPATH' ) || exit;

add_action( 'rest_api_init', __NAMESPACE__ . '\add_gift_card_routes' );

/**
 * Add the routes.
 */
function add_gift_card_routes(): void {
	$number = array( 'number' => number_argument() );
	add_route(
		'POST',
		'/gift-cards',
		__NAMESPACE__ . '\answer_card_create',
		$number + array(
			'cents'     => whole_number( 0, MOVED_MAX ) + array( 'required' => true ),
			'reference' => reference_argument(),
			'expires'   => expires_argument() + array( 'default' => null ),
		)
	);
	add_route( 'POST', '/gift-cards/lookup', __NAMESPACE__ . '\answer_card_lookup', $number );
	add_route(
		'POST',
		'/gift-cards/adjust',
		__NAMESPACE__ . '\answer_card_adjust',
		$number + array(
			'cents'     => moved_argument(),
			'reference' => reference_argument(),
			'reason'    => reason_argument(),
			'order'     => id_argument(),
		)
	);
	add_route(
		'POST',
		'/gift-cards/change',
		__NAMESPACE__ . '\answer_card_change',
		$number + array(
			'is_void' => array( 'type' => 'boolean' ),
			'expires' => expires_argument(),
		)
	);
	add_route( 'GET', '/gift-cards/changes', __NAMESPACE__ . '\answer_card_changes', page_arguments() );
}

/**
 * Answer `POST /gift-cards`.
 *
 * @param \WP_REST_Request $request The request.
 * @return array|\WP_Error
 */
function answer_card_create( \WP_REST_Request $request ) {
	$number = $request['number'];
	$answer = write_in_feed(
		'gift_cards',
		static fn( int $id ) => enter_card( $id, $number, $request['cents'], $request['reference'], $request['expires'] )
	);
	return told_card( $answer );
}

/**
 * Answer `POST /gift-cards/lookup`.
 *
 * @param \WP_REST_Request $request The request.
 * @return array|\WP_Error
 */
function answer_card_lookup( \WP_REST_Request $request ) {
	return look_card_up( $request['number'] );
}

/**
 * Answer `POST /gift-cards/adjust`.
 *
 * @param \WP_REST_Request $request The request.
 * @return array|\WP_Error
 */
function answer_card_adjust( \WP_REST_Request $request ) {
	return adjust_card( $request['number'], $request['cents'], $request['reference'], $request['reason'], $request['order'] );
}

/**
 * Answer `POST /gift-cards/change`.
 *
 * @param \WP_REST_Request $request The request.
 * @return array|\WP_Error
 */
function answer_card_change( \WP_REST_Request $request ) {
	global $wpdb;
	$values = array();
	if ( $request->has_param( 'is_void' ) ) {
		$values['is_void'] = (int) $request['is_void'];
	}
	if ( $request->has_param( 'expires' ) ) {
		$values['expires_gmt'] = $request['expires'];
	}
	if ( $values && false === $wpdb->update( table( 'gift_cards' ), $values, array( 'number' => $request['number'] ) ) ) {
		return as_error( trouble_now() );
	}
	return look_card_up( $request['number'] );
}

/**
 * Answer `GET /gift-cards/changes`.
 *
 * @param \WP_REST_Request $request The request.
 * @return array|\WP_Error
 */
function answer_card_changes( \WP_REST_Request $request ) {
	global $wpdb;
	$rows = read_rows(
		$wpdb->prepare( 'SELECT * FROM ' . table( 'gift_card_entries' ) . ' WHERE id > %d ORDER BY id LIMIT %d', $request['after'], $request['limit'] )
	);
	return page_of(
		$rows,
		$request['after'],
		static fn( array $row ) => array(
			'id'          => (int) $row['id'],
			'number'      => $row['number'],
			'cents'       => (int) $row['cents'],
			'reference'   => $row['reference'],
			'reason'      => $row['reason'],
			'order'       => null === $row['order_id'] ? null : (int) $row['order_id'],
			'created_gmt' => time_of( $row['created_gmt'] ),
		)
	);
}

/**
 * Give a card: `{number, balance, is_void, expires, last}`. One statement, so one moment.
 *
 * @param string $number The card.
 * @return array|\WP_Error
 */
function look_card_up( string $number ) {
	global $wpdb;
	$entries = table( 'gift_card_entries' );
	$rows    = read_rows(
		$wpdb->prepare(
			'SELECT card.is_void, card.expires_gmt,' .
			" (SELECT COALESCE(SUM(cents), 0) FROM $entries WHERE number = card.number) AS balance," .
			" (SELECT COALESCE(MAX(id), 0) FROM $entries) AS last" .
			' FROM ' . table( 'gift_cards' ) . ' AS card WHERE card.number = %s',
			$number
		)
	);
	if ( is_wp_error( $rows ) ) {
		return $rows;
	}
	if ( ! $rows ) {
		return no_card();
	}
	return array(
		'number'  => $number,
		'balance' => (int) $rows[0]['balance'],
		'is_void' => (bool) $rows[0]['is_void'],
		'expires' => time_of( $rows[0]['expires_gmt'] ),
		'last'    => (int) $rows[0]['last'],
	);
}

/**
 * Move cents once under a reference; below 0 takes, no more than is there, and nothing of a card that is void or expired.
 *
 * @param string   $number    The card.
 * @param int      $cents     How many, not 0.
 * @param string   $reference Used once.
 * @param string   $reason    For people.
 * @param int|null $order     The web order that it pays; null where there is none.
 * @return array|\WP_Error `{number, cents, balance, id, already}`; id is null where nothing moved.
 */
function adjust_card( string $number, int $cents, string $reference, string $reason, ?int $order ) {
	$answer = write_in_feed(
		'gift_cards',
		static fn( int $id ) => enter_cents( $id, $number, $cents, $reference, $reason, $order )
	);
	return told_card( $answer );
}

/**
 * Tell of an answer that moved something.
 *
 * @param array|\WP_Error $answer The answer.
 * @return array|\WP_Error The same.
 */
function told_card( $answer ) {
	if ( is_array( $answer ) ) {
		if ( null !== $answer['entry'] && ! $answer['already'] ) {
			tell( 'gift_cards', $answer['entry'] );
		}
		$answer['id'] = $answer['entry'];
		unset( $answer['entry'] );
	}
	return $answer;
}

/**
 * Enter a new card and what is on it, inside of the feed's transaction.
 *
 * @param int         $id        The new entry's id.
 * @param string      $number    The card.
 * @param int         $cents     What is on it; 0 makes no entry.
 * @param string      $reference Used once.
 * @param string|null $expires   From when it is not taken; null is never.
 * @return array|\WP_Error
 * @throws Trouble The database refused.
 */
function enter_card( int $id, string $number, int $cents, string $reference, ?string $expires ) {
	global $wpdb;
	$cards   = table( 'gift_cards' );
	$balance = card_balance( $number );
	$before  = card_entry( $reference );
	$card    = read_row( $wpdb->prepare( "SELECT number, reference FROM $cards WHERE number = %s OR reference = %s ORDER BY number = %s DESC FOR UPDATE", $number, $reference, $number ) );
	if ( ( $before && $before['number'] !== $number ) || ( $card && $card['number'] !== $number ) ) {
		return reference_taken( $reference );
	}
	if ( $card && $card['reference'] === $reference ) {
		return card_answer( array( 'number' => $number ), $balance, null, $before ? (int) $before['id'] : null, true );
	}
	if ( $card ) {
		return new \WP_Error( 'counterflow_card_exists', __( 'There is a card of this number, made under another reference.', 'counterflow-companion' ), array( 'status' => 409 ) );
	}
	$values = array( $number, $reference, $expires, $id );
	$sql    = null === $expires ? 'NULL' : '%s';
	if ( null === $expires ) {
		unset( $values[2] );
	}
	run_for_one_row(
		$wpdb->prepare(
			"INSERT INTO $cards (number, reference, is_void, expires_gmt, created_gmt)
			SELECT %s, %s, 0, $sql, UTC_TIMESTAMP() FROM DUAL WHERE LAST_INSERT_ID() = %d",
			array_values( $values )
		)
	);
	if ( $cents > 0 ) {
		write_card_entry( $id, $number, $cents, $reference, '', null );
	}
	return card_answer( array( 'number' => $number ), $balance + $cents, $id, $cents > 0 ? $id : null, false );
}

/**
 * Enter cents, inside of the feed's transaction. See adjust_card().
 *
 * @param int      $id        The new entry's id.
 * @param string   $number    The card.
 * @param int      $cents     How many.
 * @param string   $reference Used once.
 * @param string   $reason    For people.
 * @param int|null $order     The web order.
 * @return array|\WP_Error
 * @throws Trouble The database refused.
 */
function enter_cents( int $id, string $number, int $cents, string $reference, string $reason, ?int $order ) {
	global $wpdb;
	$balance = card_balance( $number );
	$before  = card_entry( $reference );
	if ( $before && $before['number'] !== $number ) {
		return reference_taken( $reference );
	}
	if ( $before ) {
		return card_answer( array( 'number' => $number, 'cents' => (int) $before['cents'] ), $balance, null, (int) $before['id'], true );
	}
	$card = read_row(
		$wpdb->prepare( 'SELECT is_void, expires_gmt <= UTC_TIMESTAMP() AS is_expired FROM ' . table( 'gift_cards' ) . ' WHERE number = %s FOR UPDATE', $number )
	);
	if ( ! $card ) {
		return no_card();
	}
	if ( $cents < 0 && ( $card['is_void'] || $card['is_expired'] ) ) {
		return $card['is_void']
			? new \WP_Error( 'counterflow_card_void', __( 'The card is void: nothing is taken from it.', 'counterflow-companion' ), array( 'status' => 409 ) )
			: new \WP_Error( 'counterflow_card_expired', __( 'The card has expired: nothing is taken from it.', 'counterflow-companion' ), array( 'status' => 409 ) );
	}
	$moved = max( $cents, -$balance );
	if ( 0 === $moved ) {
		return card_answer( array( 'number' => $number, 'cents' => 0 ), $balance, null, null, false );
	}
	write_card_entry( $id, $number, $moved, $reference, $reason, $order );
	return card_answer( array( 'number' => $number, 'cents' => $moved ), $balance + $moved, $id, $id, false );
}

/**
 * Give what is on a card, inside of the feed's transaction.
 *
 * @param string $number The card.
 * @throws Trouble The database refused.
 */
function card_balance( string $number ): int {
	global $wpdb;
	return (int) read( $wpdb->prepare( 'SELECT COALESCE(SUM(cents), 0) FROM ' . table( 'gift_card_entries' ) . ' WHERE number = %s FOR UPDATE', $number ) );
}

/**
 * Give the entry of a reference, or null.
 *
 * @param string $reference The reference.
 * @throws Trouble The database refused.
 */
function card_entry( string $reference ): ?array {
	global $wpdb;
	return read_row( $wpdb->prepare( 'SELECT id, number, cents FROM ' . table( 'gift_card_entries' ) . ' WHERE reference = %s FOR UPDATE', $reference ) );
}

/**
 * Write one entry.
 *
 * @param int      $id        Its id.
 * @param string   $number    The card.
 * @param int      $cents     What moves.
 * @param string   $reference Used once.
 * @param string   $reason    For people.
 * @param int|null $order     The web order; null is none.
 * @throws Trouble The database refused.
 */
function write_card_entry( int $id, string $number, int $cents, string $reference, string $reason, ?int $order ): void {
	global $wpdb;
	run_for_one_row(
		$wpdb->prepare(
			'INSERT INTO ' . table( 'gift_card_entries' ) . ' (id, number, cents, reference, reason, order_id, created_gmt)
			SELECT %d, %s, %d, %s, %s, NULLIF(%d, 0), UTC_TIMESTAMP() FROM DUAL WHERE LAST_INSERT_ID() = %d',
			$id,
			$number,
			$cents,
			$reference,
			$reason,
			(int) $order,
			$id
		)
	);
}

/**
 * Give the answer to what was asked of a card.
 *
 * @param array    $what    The card, and what moved.
 * @param int      $balance What is on it now.
 * @param int|null $id      The id that was used; null where nothing is to be kept. See write_in_feed().
 * @param int|null $entry   The entry; null where nothing moved.
 * @param bool     $already Whether it was there before.
 */
function card_answer( array $what, int $balance, ?int $id, ?int $entry, bool $already ): array {
	return $what + compact( 'balance', 'id', 'entry', 'already' );
}

/**
 * Give the error for a card that is not there.
 */
function no_card(): \WP_Error {
	return new \WP_Error( 'counterflow_no_card', __( 'There is no such card.', 'counterflow-companion' ), array( 'status' => 404 ) );
}
