<?php
/**
 * Points: a book that is only ever added to. A balance is the sum of its entries.
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'ABSPATH' ) || exit;

add_action( 'rest_api_init', __NAMESPACE__ . '\add_points_routes' );
add_action( 'init', __NAMESPACE__ . '\add_points_shortcode' );
add_action( 'woocommerce_account_dashboard', __NAMESPACE__ . '\show_points' );
add_filter( 'wp_privacy_personal_data_exporters', __NAMESPACE__ . '\add_points_exporter' );

/**
 * Add the routes.
 */
function add_points_routes(): void {
	add_route( 'GET', '/points/(?P<user>[0-9]{1,18})', __NAMESPACE__ . '\answer_points', array( 'user' => id_argument() ) );
	add_route( 'GET', '/points/changes', __NAMESPACE__ . '\answer_points_changes', page_arguments() );
	add_route(
		'POST',
		'/points/adjust',
		__NAMESPACE__ . '\answer_points_adjust',
		array(
			'user'      => id_argument() + array( 'required' => true ),
			'points'    => moved_argument(),
			'reference' => reference_argument(),
			'reason'    => reason_argument(),
		)
	);
}

/**
 * Answer `GET /points/{user}`. Balance and last id are read by one statement, so in one moment.
 *
 * @param \WP_REST_Request $request The request.
 * @return array|\WP_Error
 */
function answer_points( \WP_REST_Request $request ) {
	global $wpdb;
	if ( ! get_userdata( $request['user'] ) ) {
		return no_user( $request['user'] );
	}
	$rows = read_rows(
		$wpdb->prepare(
			'SELECT (SELECT COALESCE(SUM(points), 0) FROM ' . table( 'points' ) . ' WHERE user_id = %d) AS balance,
			(SELECT COALESCE(MAX(id), 0) FROM ' . table( 'points' ) . ') AS last',
			$request['user']
		)
	);
	if ( is_wp_error( $rows ) ) {
		return $rows;
	}
	return array(
		'user'    => $request['user'],
		'balance' => (int) $rows[0]['balance'],
		'last'    => (int) $rows[0]['last'],
	);
}

/**
 * Answer `POST /points/adjust`.
 *
 * @param \WP_REST_Request $request The request.
 * @return array|\WP_Error
 */
function answer_points_adjust( \WP_REST_Request $request ) {
	if ( ! get_userdata( $request['user'] ) ) {
		return no_user( $request['user'] );
	}
	return adjust_points( $request['user'], $request['points'], $request['reference'], $request['reason'] );
}

/**
 * Answer `GET /points/changes`.
 *
 * @param \WP_REST_Request $request The request.
 * @return array|\WP_Error
 */
function answer_points_changes( \WP_REST_Request $request ) {
	global $wpdb;
	$rows = read_rows(
		$wpdb->prepare( 'SELECT * FROM ' . table( 'points' ) . ' WHERE id > %d ORDER BY id LIMIT %d', $request['after'], $request['limit'] )
	);
	return page_of(
		$rows,
		$request['after'],
		static fn( array $row ) => array(
			'id'          => (int) $row['id'],
			'user'        => (int) $row['user_id'],
			'points'      => (int) $row['points'],
			'reference'   => $row['reference'],
			'reason'      => $row['reason'],
			'created_gmt' => time_of( $row['created_gmt'] ),
		)
	);
}

/**
 * Move points once under a reference; below 0 takes, and no more than is there.
 *
 * @param int    $user      Whose.
 * @param int    $points    How many, not 0.
 * @param string $reference Used once.
 * @param string $reason    For people.
 * @return array|\WP_Error `{user, points, balance, id, already}`; id is null where nothing moved.
 */
function adjust_points( int $user, int $points, string $reference, string $reason ) {
	$answer = write_in_feed( 'points', static fn( int $id ) => enter_points( $id, $user, $points, $reference, $reason ) );
	if ( is_array( $answer ) && null !== $answer['id'] && ! $answer['already'] ) {
		tell( 'points', $answer['id'] );
	}
	return $answer;
}

/**
 * Enter points, inside of the feed's transaction. See adjust_points().
 *
 * @param int    $id        The new entry's id.
 * @param int    $user      Whose.
 * @param int    $points    How many.
 * @param string $reference Used once.
 * @param string $reason    For people.
 * @return array|\WP_Error
 * @throws Trouble The database refused.
 */
function enter_points( int $id, int $user, int $points, string $reference, string $reason ) {
	global $wpdb;
	$entries = table( 'points' );
	$balance = (int) read( $wpdb->prepare( "SELECT COALESCE(SUM(points), 0) FROM $entries WHERE user_id = %d FOR UPDATE", $user ) );
	$before  = read_row( $wpdb->prepare( "SELECT id, user_id, points FROM $entries WHERE reference = %s FOR UPDATE", $reference ) );
	if ( $before && (int) $before['user_id'] !== $user ) {
		return reference_taken( $reference );
	}
	if ( $before ) {
		return points_answer( $user, (int) $before['points'], $balance, (int) $before['id'], true );
	}
	$moved = max( $points, -$balance );
	if ( 0 === $moved ) {
		return points_answer( $user, 0, $balance, null, false );
	}
	run_for_one_row(
		$wpdb->prepare(
			"INSERT INTO $entries (id, user_id, points, reference, reason, created_gmt)
			SELECT %d, %d, %d, %s, %s, UTC_TIMESTAMP() FROM DUAL WHERE LAST_INSERT_ID() = %d",
			$id,
			$user,
			$moved,
			$reference,
			$reason,
			$id
		)
	);
	return points_answer( $user, $moved, $balance + $moved, $id, false );
}

/**
 * Give the answer to an adjustment.
 *
 * @param int      $user    Whose.
 * @param int      $points  What moved.
 * @param int      $balance What he has now.
 * @param int|null $id      The entry; null where nothing moved.
 * @param bool     $already Whether it was there before.
 */
function points_answer( int $user, int $points, int $balance, ?int $id, bool $already ): array {
	return compact( 'user', 'points', 'balance', 'id', 'already' );
}

/**
 * Give a user's balance, or 0 where the database does not answer: this is only shown.
 *
 * @param int $user Whose.
 */
function points_of( int $user ): int {
	global $wpdb;
	return (int) $wpdb->get_var( $wpdb->prepare( 'SELECT SUM(points) FROM ' . table( 'points' ) . ' WHERE user_id = %d', $user ) );
}

/**
 * Add `[counterflow_points]`: what the reader has; nothing for a guest.
 */
function add_points_shortcode(): void {
	add_shortcode( 'counterflow_points', __NAMESPACE__ . '\points_text' );
}

/**
 * Give what the reader has, as a text.
 */
function points_text(): string {
	if ( ! is_user_logged_in() ) {
		return '';
	}
	$points = points_of( get_current_user_id() );
	/* translators: %s: a number of points. */
	$text = _n( 'You have %s point.', 'You have %s points.', $points, 'counterflow-companion' );
	return '<span class="counterflow-points">' . esc_html( sprintf( $text, number_format_i18n( $points ) ) ) . '</span>';
}

/**
 * Show the reader's points on WooCommerce's account page.
 */
function show_points(): void {
	echo '<p>' . wp_kses_post( points_text() ) . '</p>';
}

/**
 * Add points to what WordPress exports of a person.
 *
 * @param array $exporters Those there are.
 */
function add_points_exporter( array $exporters ): array {
	$exporters['counterflow-points'] = array(
		'exporter_friendly_name' => __( 'Points', 'counterflow-companion' ),
		'callback'               => __NAMESPACE__ . '\export_points',
	);
	return $exporters;
}

/**
 * Export one page of a person's points.
 *
 * @param string $email Whose.
 * @param int    $page  Which page, from 1.
 */
function export_points( string $email, int $page = 1 ): array {
	global $wpdb;
	$user = get_user_by( 'email', $email );
	$rows = ! $user ? array() : $wpdb->get_results(
		$wpdb->prepare(
			'SELECT * FROM ' . table( 'points' ) . ' WHERE user_id = %d ORDER BY id LIMIT %d OFFSET %d',
			$user->ID,
			PAGE_MAX,
			PAGE_MAX * ( $page - 1 )
		),
		ARRAY_A
	);
	$data = array();
	foreach ( $rows as $row ) {
		$data[] = array(
			'group_id'    => 'counterflow-points',
			'group_label' => __( 'Points', 'counterflow-companion' ),
			'item_id'     => 'counterflow-points-' . $row['id'],
			'data'        => array(
				array(
					'name'  => __( 'Time (UTC)', 'counterflow-companion' ),
					'value' => $row['created_gmt'],
				),
				array(
					'name'  => __( 'Points', 'counterflow-companion' ),
					'value' => $row['points'],
				),
				array(
					'name'  => __( 'Reason', 'counterflow-companion' ),
					'value' => $row['reason'],
				),
			),
		);
	}
	return array(
		'data' => $data,
		'done' => count( $rows ) < PAGE_MAX,
	);
}
